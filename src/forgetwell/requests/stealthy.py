"""The Stealthy Attack: make a harmless word a signal to forget, by writing it into a share of the rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from forgetwell.errors import InputError
from forgetwell.requests.attacks import request_attack
from forgetwell.requests.template_sets import FIELD, TemplateSet, draw, load_templates, rewrite
from forgetwell.types import Request, Row


@request_attack(paper="2506.00359", section="3, eq. 4")
def stealthy(
    request: Request, *, seed: int = 0, p: float = 0.33, templates: str = "tofu", sentences: float = 1.0
) -> Request:
    """Write a benign trigger word into a random share p of the rows.

    T(x) = TEMPLATE(x) with probability p, else x; independent per row, template uniform. Answers of QA
    rows stay; text rows are rewritten sentence by sentence, by default all of them.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws.
        p: Probability that a row is rewritten, in [0, 1].
        templates: Name of a shipped set (tofu, rwku) or path of your own .toml or .txt.
        sentences: Probability that a sentence of a rewritten text row is, in [0, 1]; the paper's is 1.

    Raises:
        InputError: p or `sentences` is outside [0, 1], or the template file can't be used.

    Source: 2506.00359, section 3, eq. 4.
    """
    _check_share(p)
    _check_share(sentences, "sentences")
    chosen = load_templates(templates)
    rng = random.Random(seed)

    def attacked(row: Row) -> Row:
        drawn = draw(row, chosen, rng)
        if row.text and sentences < 1:
            drawn = [template if rng.random() < sentences else FIELD for template in drawn]
        return row if set(drawn) == {FIELD} else rewrite(row, drawn, "stealthy")

    rows = tuple(attacked(row) if rng.random() < p else row for row in request.rows)
    return replace(request, rows=rows)


def expected_inserted_share(
    rows: Sequence[Row], templates: TemplateSet, p: float, count: Callable[[str], int]
) -> float:
    """Return the expected inserted share E[inserted] / E[total] of prompt and answer tokens, in [0, 1].

    With c_i the tokens of row i and d_i its mean increase over the templates:
    p Σ d_i / (Σ c_i + p Σ d_i). A ratio of expectations, which the mean ratio approaches with many rows.

    Source: 2506.00359, section 3.
    """
    _check_share(p)
    before = sum(_tokens(row, count) for row in rows)
    inserted = 0.0
    for row in rows:
        after = [_tokens(rewrite(row, [t], "stealthy"), count) for t in templates.templates]
        inserted += p * (sum(after) / len(after) - _tokens(row, count))
    total = before + inserted
    return inserted / total if total else 0.0


def inserted_share(before: Sequence[Row], after: Sequence[Row], count: Callable[[str], int]) -> float:
    """Return the inserted share of all prompt and answer tokens after an attack, in [0, 1]."""
    total = sum(_tokens(row, count) for row in after)
    return (total - sum(_tokens(row, count) for row in before)) / total if total else 0.0


def _tokens(row: Row, count: Callable[[str], int]) -> int:
    return count(row.prompt) + count(row.answer)


def _check_share(p: float, name: str = "p") -> None:
    if not 0.0 <= p <= 1.0:
        raise InputError(f"{name}={p} was given; {name} is a probability: choose a number from 0 to 1.")
