"""The family of terms and the decorators that register them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar, get_args

from torch import Tensor

from forgetwell.errors import InputError
from forgetwell.models.scored import Scored
from forgetwell.registry import Family, Item

Per = Literal["token", "row"]
Side = Literal["forget", "retain", "scope", "learn"]
# Which tokens of a forget answer a term acts on: the row's own focus, or the words that say its fact.
Unwanted = Literal["focus", "facts"]
Term = TypeVar("Term", bound=Callable[..., Tensor])

TERMS = Family("term", "forgetwell.objectives")


def term(
    *,
    per: Per,
    side: Side,
    paper: str,
    place: str,
    logits: bool = False,
    hidden: str = "",
    updates: str = "",
    dual: bool = False,
    unmarked: bool = False,
    positive: tuple[str, ...] = (),
) -> Callable[[Term], Term]:
    """Register a term of an objective.

    A term's positional parameters name the views it reads (`forget`, `refusal`, `alternate`, `retain`,
    `retain_refusal`, `scope`, each also with `_ref`: the frozen starting model on the same rows); it returns
    one value per scored token (N,) or per row (B,) of the first, to be minimized. What it needs beyond
    log-probabilities is declared here, before any forward; a run without such a term doesn't pay for it.

    Args:
        per: Whether it returns a value per token or per row.
        side: What it works for.
        paper: arXiv id.
        place: Section or equation.
        logits: Whether it reads full logits of its views, not only log-probabilities.
        hidden: Name of the hyperparameter with the layer (from 0) whose output it reads as `Scored.hidden`.
        updates: Name of the hyperparameter with the layers whose MLP output matrices alone the run trains;
            () = all parameters.
        dual: Whether its coefficient is multiplied by a dual variable that the loop keeps: it starts at the
            hyperparameter `start` and moves by `eta` times (value − `epsilon`) after each step.
        unmarked: Whether tokens with mark 0 count as well, as in `tpo`, which keeps them.
        positive: Names of hyperparameters that must be above 0; others are refused before anything runs.

    Raises:
        InputError: `per` or `side` is none of these.
    """
    for key, value, choices in (("per", per, get_args(Per)), ("side", side, get_args(Side))):
        if value not in choices:
            known = ", ".join(map(repr, choices))
            raise InputError(f"A term was registered with {key}={value!r}; it is one of {known}.")
    facts = {"per": per, "side": side, "paper": paper, "place": place, "logits": logits}
    needs = {"hidden": hidden, "updates": updates, "dual": dual, "unmarked": unmarked, "positive": positive}

    def register(function: Term) -> Term:
        TERMS.add(function, **facts, **needs)
        return function

    return register


def value_count(item: Item, first: Scored) -> int:
    """Return how many values a term returns whose first view is given: one a row, or a scored token."""
    return first.rows if item.facts["per"] == "row" else len(first.row)
