"""One step: the views an objective names, one forward for all of them, and the loss."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from forgetwell.data.encoding import Codec
from forgetwell.errors import InputError
from forgetwell.models.hidden import reading_layers
from forgetwell.models.lm import HFModel
from forgetwell.models.scored import Scored, marks_of, scored_from_logits, select
from forgetwell.objectives.algebra import Objective, WeightedTerm
from forgetwell.objectives.registry import value_count
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

    @property
    def marked(self) -> float:
        """Sum of the scored tokens' marks."""
        return sum(sum(r.marks) if r.marks else len(r.ids) - r.start for r in self.rows)


@dataclass(frozen=True)
class Counts:
    """Rows, scored tokens and sum of marks of one view over the whole step, on all processes."""

    rows: int
    tokens: int
    marked: float


def view_key(term: WeightedTerm, name: str) -> ViewKey:
    """Return which view a term means by `name`, with those of its hyperparameters that change the view."""
    accepted = VIEWS.get(name).hyperparameters
    given = {k: v for k, v in term.hyperparameters.items() if k in accepted}
    options = {k: v for k, v in given.items() if v != accepted[k].default}
    return ViewKey(name, tuple(sorted(options.items())))


def view_keys(objective: Objective) -> tuple[ViewKey, ...]:
    """Return the distinct views that the policy is run on, in the order of the terms."""
    return tuple(dict.fromkeys(view_key(t, n) for t in objective.terms for n in t.views))


def reference_keys(objective: Objective) -> tuple[ViewKey, ...]:
    """Return the distinct views on which some term reads the starting model."""
    return tuple(dict.fromkeys(view_key(t, n) for t in objective.terms for n in t.references))


def row_keys(objective: Objective) -> tuple[ViewKey, ...]:
    """Return every view whose rows a step needs: those that the policy runs on first."""
    return tuple(dict.fromkeys((*view_keys(objective), *reference_keys(objective))))


def term_layer(term: WeightedTerm) -> int | None:
    """Return the layer whose output a term reads, or None."""
    name = term.item.facts["hidden"]
    return term.hyperparameters[name] if name else None


def read_layers(objective: Objective) -> tuple[int, ...]:
    """Return the distinct layers whose outputs the terms of an objective read."""
    return tuple(dict.fromkeys(k for t in objective.terms if (k := term_layer(t)) is not None))


def reads_logits(objective: Objective) -> bool:
    """Say whether some term reads full logits; else only the labels' log-probabilities are made."""
    return any(term.item.facts["logits"] for term in objective.terms)


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
    return {k: Counts(len(v.rows), v.tokens, v.marked) for k, v in views.items()}


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
    that shares add up to the same value however the step is divided. Marks are weights of tokens: w_i of a
    token is its row's weight times its mark, and n the sum of marks. `views` holds the rows of all
    `row_keys`.
    """
    run = {key: views[key] for key in view_keys(objective)}
    scored = _forward(lm, module, run, read_layers(objective), logits=reads_logits(objective))
    shares = {}
    for term in objective.terms:
        key = view_key(term, term.views[0])
        inputs = _inputs(term, scored, views, reference)
        mine = scored[key, None]
        values = _checked_values(term, mine, inputs)
        weights = torch.tensor(views[key].weights, device=values.device)
        if term.item.facts["per"] == "token":
            marked = values if mine.mark is None else values * mine.mark
            shares[term.label] = (marked * weights[mine.row]).sum() / (counts[key].marked or 1)
        else:
            shares[term.label] = (values * weights).sum() / counts[key].rows
    return shares


def _checked_values(term: WeightedTerm, mine: Scored, inputs: Iterable[Scored]) -> Tensor:
    """Return a term's values; its first view is `mine`.

    Raises:
        InputError: They are not one a row, or one a scored token, as its decorator says.
    """
    values = term.item.function(*inputs, **term.hyperparameters)
    per, count = term.item.facts["per"], value_count(term.item, mine)
    if not isinstance(values, Tensor) or values.shape != (count,):
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        of = "row" if per == "row" else "scored token"
        raise InputError(
            f"The term {term.item.name} is registered with per={per!r}, so that it returns one value for "
            f"each {of}, here ({count},), and it returned {shape}. The loop takes means; a term doesn't."
        )
    return values


def _inputs(
    term: WeightedTerm,
    scored: Mapping[tuple[ViewKey, int | None], Scored],
    views: Mapping[ViewKey, ViewRows],
    reference: Reference,
) -> Iterator[Scored]:
    layer = term_layer(term)
    for name in term.item.inputs:
        key = view_key(term, name.removesuffix("_ref"))
        if name.endswith("_ref"):
            yield reference.scored(views[key].rows, logits=term.item.facts["logits"], layer=layer)
        else:
            yield scored[key, layer]


def _forward(
    lm: HFModel,
    module: torch.nn.Module,
    views: Mapping[ViewKey, ViewRows],
    layers: Sequence[int],
    *,
    logits: bool,
) -> dict[tuple[ViewKey, int | None], Scored]:
    """Return each view's `Scored`, once without hidden states and once with those of each layer.

    Full logits are made only where some term reads them.
    """
    rows = [row for view in views.values() for row in view.rows]
    batch = lm.batch(rows)
    with lm.precision(), reading_layers(lm.module.decoder, layers) as outputs:
        values = module(batch, logits)
    if logits:
        plain = scored_from_logits(values, batch.labels, batch.row, batch.rows)
    else:
        plain = Scored(batch.rows, batch.row, batch.labels, None, values)
    plain = replace(plain, mark=marks_of(rows, lm.device))
    everything: dict[int | None, Scored] = {None: plain}
    for layer, states in outputs.items():
        everything[layer] = replace(plain, hidden=states.flatten(0, 1)[batch.source])
    found: dict[tuple[ViewKey, int | None], Scored] = {}
    first = 0
    for key, view in views.items():
        for read, scored in everything.items():
            found[key, read] = select(scored, first, len(view.rows))
        first += len(view.rows)
    return found
