"""The family of terms and the decorators that register them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

from torch import Tensor

from forgetwell.registry import Family

Per = Literal["token", "row"]
Term = TypeVar("Term", bound=Callable[..., Tensor])

TERMS = Family("term", "forgetwell.objectives")


def term(
    *,
    per: Per,
    side: Literal["forget", "retain", "scope", "learn"],
    paper: str,
    place: str,
    logits: bool = False,
) -> Callable[[Term], Term]:
    """Register a term of an objective.

    A term's positional parameters name the views it reads (`forget`, `refusal`, `retain`, `scope`, each
    also with `_ref`: the frozen starting model on the same rows); it returns one value per scored token
    (N,) or per row (B,), to be minimized.

    Args:
        per: Whether it returns a value per token or per row.
        side: What it works for.
        paper: arXiv id.
        place: Section or equation.
        logits: Whether it reads full logits of its `_ref` views, not only log-probabilities.
    """

    def register(function: Term) -> Term:
        TERMS.add(function, per=per, side=side, paper=paper, place=place, logits=logits)
        return function

    return register
