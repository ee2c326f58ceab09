"""One step: the views an objective names, one forward for all of them, and the loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from forgetwell.data.encoding import Codec
from forgetwell.models.lm import HFModel
from forgetwell.models.scored import Scored, scored_from_logits, select
from forgetwell.objectives.algebra import Objective, WeightedTerm
from forgetwell.training.reference import Reference
from forgetwell.training.views import VIEWS, Pair
from forgetwell.types import Encoded

Options = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class ViewKey:
    """A view with the options it is made with."""

    name: str
    options: Options


@dataclass(frozen=True)
class ViewRows:
    """The encoded rows of one view, aligned with the pairs of a step, and their weights."""

    rows: tuple[Encoded, ...]
    weights: tuple[float, ...]

    @property
    def tokens(self) -> int:
        """Scored tokens."""
        return sum(len(r.ids) - r.start for r in self.rows)


@dataclass(frozen=True)
class Counts:
    """Rows and scored tokens of one view over the whole step, on all processes."""

    rows: int
    tokens: int


def view_key(term: WeightedTerm, name: str) -> ViewKey:
    """Return which view a term means by `name`, with those of its hyperparameters the view takes."""
    accepted = VIEWS.get(name).hyperparameters
    options = {k: v for k, v in term.hyperparameters.items() if k in accepted}
    return ViewKey(name, tuple(sorted(options.items())))


def view_keys(objective: Objective) -> tuple[ViewKey, ...]:
    """Return the distinct views of an objective, in the order of its terms."""
    return tuple(dict.fromkeys(view_key(t, n) for t in objective.terms for n in t.views))


def make_views(keys: Sequence[ViewKey], pairs: Sequence[Pair], codec: Codec) -> dict[ViewKey, ViewRows]:
    """Return the rows of each view for these pairs."""
    made = {}
    for key in keys:
        build = VIEWS.get(key.name).function
        rows = [build(pair, codec, **dict(key.options)) for pair in pairs]
        encoded = tuple(codec.encode(row) for row in rows)
        made[key] = ViewRows(encoded, tuple(row.weight for row in rows))
    return made


def count(views: Mapping[ViewKey, ViewRows]) -> dict[ViewKey, Counts]:
    """Return the rows and scored tokens of each view."""
    return {k: Counts(len(v.rows), v.tokens) for k, v in views.items()}


def term_values(
    lm: HFModel,
    module: torch.nn.Module,
    objective: Objective,
    views: Mapping[ViewKey, ViewRows],
    counts: Mapping[ViewKey, Counts],
    reference: Reference,
) -> dict[str, Tensor]:
    """Run all policy views in one forward; return each term's share of its mean over the step.

    ``share = Σ_i w_i v_i / n`` over this micro-batch, n the rows or scored tokens of the *whole* step, so
    that shares add up to the same value however the step is divided.
    """
    logits = any(term.item.facts["logits"] for term in objective.terms)
    scored = dict(zip(views, _forward(lm, module, list(views.values()), logits=logits), strict=True))
    shares = {}
    for term in objective.terms:
        key = view_key(term, term.views[0])
        inputs = _inputs(term, scored, views, reference)
        values: Tensor = term.item.function(*inputs, **term.hyperparameters)
        weights = torch.tensor(views[key].weights, device=values.device)
        if term.item.facts["per"] == "token":
            shares[term.label] = (values * weights[scored[key].row]).sum() / counts[key].tokens
        else:
            shares[term.label] = (values * weights).sum() / counts[key].rows
    return shares


def _inputs(
    term: WeightedTerm,
    scored: Mapping[ViewKey, Scored],
    views: Mapping[ViewKey, ViewRows],
    reference: Reference,
) -> Iterator[Scored]:
    for name in term.item.inputs:
        key = view_key(term, name.removesuffix("_ref"))
        if name.endswith("_ref"):
            yield reference.scored(views[key].rows, logits=term.item.facts["logits"])
        else:
            yield scored[key]


def _forward(
    lm: HFModel, module: torch.nn.Module, views: Sequence[ViewRows], *, logits: bool
) -> Iterator[Scored]:
    """Give each view's `Scored`; full logits only where some term reads them."""
    batch = lm.batch([row for view in views for row in view.rows])
    with lm.precision():
        values = module(batch, logits)
    if logits:
        everything = scored_from_logits(values, batch.labels, batch.row, batch.rows)
    else:
        everything = Scored(batch.rows, batch.row, batch.labels, None, values)
    first = 0
    for view in views:
        yield select(everything, first, len(view.rows))
        first += len(view.rows)
