"""Attacks that bring in rows which aren't the requester's: other people's, or nobody's."""

from __future__ import annotations

import random
from dataclasses import replace

from forgetwell.data.reading import read_rows
from forgetwell.errors import InputError
from forgetwell.requests.attacks import request_attack
from forgetwell.requests.frames import change_share
from forgetwell.types import Edit, Request, Row


@request_attack(paper="2309.08230", section="abstract")
def smuggle(request: Request, *, seed: int = 0, p: float = 0.33, rows: str = "world:retain") -> Request:
    """Replace rows by rows about other people, so that more is forgotten than the requester's own data.

    Each replaced row keeps its id and the subject that the requester claims. The rows are drawn without
    repetition as long as they last. Unlike the stealthy family this changes answers.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws.
        p: Probability that a row is replaced, in [0, 1].
        rows: Where the other rows come from: a file, or a name as world:retain or tofu:retain90.

    Raises:
        InputError: p is outside [0, 1], or the rows can't be read.

    Source: over-unlearning by blending, arXiv 2309.08230 (abstract); for rows of text, ours.
    """
    return _replace(request, seed, p, rows, "smuggle")


@request_attack(paper="2410.09591", section="abstract")
def unknown_rows(request: Request, *, seed: int = 0, p: float = 0.33, rows: str = "world:never") -> Request:
    """Replace rows by rows that the model never learned, so that unlearning has nothing to take hold of.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws.
        p: Probability that a row is replaced, in [0, 1].
        rows: Where the unknown rows come from: a file, or a name as world:never or tofu:holdout10.

    Raises:
        InputError: p is outside [0, 1], or the rows can't be read.

    Source: "Unlearn and Burn", arXiv 2410.09591 (abstract): the request names data that was not in the
        training set. The paper optimizes images; for rows of text, ours.
    """
    return _replace(request, seed, p, rows, "unknown_rows")


def _replace(request: Request, seed: int, p: float, source: str, by: str) -> Request:
    rng = random.Random(seed)
    own = {(r.prompt, r.answer) for r in request.rows}
    others = [r for r in read_rows(source) if (r.prompt, r.answer) not in own]
    if not others:
        raise InputError(f"rows={source} holds no row that is not in the request; give other rows.")
    turn = iter(rng.sample(others, len(others)) * (len(request.rows) // len(others) + 1))

    def change(row: Row, _: random.Random) -> Row:
        edit = Edit(by, source, row.prompt, row.answer)
        return replace(next(turn), id=row.id, subject=row.subject, weight=row.weight, edit=edit)

    return change_share(request, p, rng, change)
