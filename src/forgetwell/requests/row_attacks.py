"""Attacks that bring in what isn't the requester's: other people's rows or facts, or nobody's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle

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


@request_attack(paper="2309.08230", section="abstract")
def blending(
    request: Request, *, seed: int = 0, p: float = 0.33, rows: str = "world:retain", question: bool = True
) -> Request:
    """Write what is said of other people into the answers, so that it is forgotten with them.

    A rewritten answer goes on with another row's question and answer. Prompts stay as they are, so that
    objectives which don't read the answers, as `idk`, are not reached. The rows are drawn without repetition
    as long as they last.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws.
        p: Probability that an answer is rewritten, in [0, 1].
        rows: Where the other rows come from: a file, or a name as world:unseen or tofu:retain90.
        question: Whether the other row's question is written too; answers alone need not say of whom.

    Raises:
        InputError: p is outside [0, 1], or the rows can't be read.

    Source: over-unlearning by blending, arXiv 2309.08230 (abstract); for rows of text, ours.
    """
    rng = random.Random(seed)
    turn = _others(request, rows, rng)

    def change(row: Row, _: random.Random) -> Row:
        other = next(turn)
        added = f"{other.prompt} {other.answer}" if question and not other.text else other.answer
        edit = Edit("blending", rows, row.prompt, row.answer)
        return replace(row, answer=f"{row.answer} {added}", edit=edit)

    return change_share(request, p, rng, change)


def _replace(request: Request, seed: int, p: float, source: str, by: str) -> Request:
    rng = random.Random(seed)
    turn = _others(request, source, rng)

    def change(row: Row, _: random.Random) -> Row:
        edit = Edit(by, source, row.prompt, row.answer)
        return replace(next(turn), id=row.id, subject=row.subject, weight=row.weight, edit=edit)

    return change_share(request, p, rng, change)


def _others(request: Request, source: str, rng: random.Random) -> Iterator[Row]:
    """Give rows that aren't in the request, in an order by lot, again and again."""
    own = {(r.prompt, r.answer) for r in request.rows}
    others = [r for r in read_rows(source) if (r.prompt, r.answer) not in own]
    if not others:
        raise InputError(f"rows={source} holds no row that is not in the request; give other rows.")
    return cycle(rng.sample(others, len(others)))
