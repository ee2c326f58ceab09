"""Contracts of terms, tried on made-up scores: no model is needed.

Three answers of 4, 1 and 6 tokens stand for a batch. A term that takes means over it, counts padding, or
forgets marks, trains something else than it says as soon as rows differ in length or batches are divided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from forgetwell.errors import unknown_name
from forgetwell.models.scored import Scored, scored_from_logits
from forgetwell.objectives.registry import value_count
from forgetwell.registry import Item
from forgetwell.training.views import VIEWS

_LENGTHS = (4, 1, 6)
_VOCABULARY, _WIDTH = 11, 8
_CLOSE = 1e-4
_SURE = 120.0  # logit above all others at which probabilities are 1 and 0 in float32
# The view whose answers a side works on, and the sign of a gradient that leads a step there.
_PUSHED = {"forget": ("forget", 1), "retain": ("retain", -1), "scope": ("scope", -1), "learn": ("forget", -1)}


def reads_views_that_exist(item: Item) -> str:
    """Its positional parameters name views, or the starting model on one."""
    for name in item.inputs:
        view = name.removesuffix("_ref")
        if view not in VIEWS.names():
            return str(unknown_name("view", view, VIEWS.names()))
    return (
        "" if item.inputs else f"It has none, so that it reads nothing; views are {', '.join(VIEWS.names())}."
    )


def has_what_its_decorator_names(item: Item) -> str:
    """It has the hyperparameters that its decorator names, and those of a dual variable where it says so."""
    facts = item.facts
    dual = ("start", "eta", "epsilon") if facts["dual"] else ()
    named = [n for n in (facts["hidden"], facts["updates"], *facts["positive"], *dual) if n]
    lacking = [n for n in named if n not in item.hyperparameters]
    return f"It has no keyword parameter {' or '.join(lacking)}." if lacking else ""


def returns_one_value_each(item: Item) -> str:
    """It returns one finite value a row, or a scored token, as it is registered."""
    views = _views(item)
    values = _values(item, views)
    count = value_count(item, views[0])
    if values.shape != (count,):
        return f"It is registered per {item.facts['per']} and returned {tuple(values.shape)}, not ({count},)."
    return "" if torch.isfinite(values).all() else f"It returned {_shown(values)} on ordinary scores."


def has_gradients(item: Item) -> str:
    """A gradient reaches the policy, and is finite."""
    views = _views(item)
    policy = [v for name, v in zip(item.inputs, views, strict=True) if not name.endswith("_ref")]
    leaves = [t for v in policy for t in (v.token_logps, v.logits, v.hidden) if t is not None]
    for leaf in leaves:
        leaf.requires_grad_(True)
    total = _values(item, views).sum()
    if not total.requires_grad:
        return "Its value doesn't depend on the policy's scores: it was detached, or made of numbers."
    found = [g for g in torch.autograd.grad(total, leaves, allow_unused=True) if g is not None]
    if not all(torch.isfinite(g).all() for g in found):
        return "The gradient isn't finite on ordinary scores."
    return "" if any(g.abs().sum() > 0 for g in found) else "The gradient is 0 everywhere on ordinary scores."


def pushes_its_way(item: Item) -> str:
    """A step lowers what is to be forgotten, and raises what is to be kept or learned, as its side says."""
    wanted = _PUSHED.get(item.facts["side"])
    if wanted is None or wanted[0] not in item.inputs or item.facts["logits"] or item.facts["hidden"]:
        return ""  # of logits and states either direction may be meant
    views = _views(item)
    name, sign = wanted
    leaf = views[item.inputs.index(name)].token_logps.requires_grad_(True)
    (gradient,) = torch.autograd.grad(_values(item, views).sum(), [leaf], allow_unused=True)
    if gradient is None or not sign * gradient.sum() < 0:
        return ""
    does = "raises" if sign > 0 else "lowers"
    return (
        f"It is registered with side={item.facts['side']!r}, and a step {does} the log-probabilities of "
        f"`{name}`: what it returns is minimized. Turn its sign, or name its side."
    )


def is_finite_at_the_ends(item: Item) -> str:
    """Values and gradients are finite where the model knows an answer by heart, or rules it out."""
    for told, logit in (("known by heart", _SURE), ("ruled out", -_SURE)):
        leaves, views = zip(
            *(_extreme(item, name, k, logit) for k, name in enumerate(item.inputs)), strict=True
        )
        values = _values(item, views)
        if not torch.isfinite(values).all():
            return f"It returned {_shown(values)} for answers that are {told}, and training would end there."
        if values.requires_grad:
            policy = [leaf for leaf in leaves if leaf.requires_grad]
            found = torch.autograd.grad(values.sum(), policy, allow_unused=True)
            if not all(torch.isfinite(g).all() for g in found if g is not None):
                return f"Its gradient isn't finite for answers that are {told}; training would end there."
    return ""


def leaves_its_scores(item: Item) -> str:
    """The scores that it is given are unchanged: other terms and later steps read them too."""
    views = _views(item)
    before = [_copied(view) for view in views]
    _values(item, views)
    for name, old, new in zip(item.inputs, before, map(_copied, views), strict=True):
        if not all(torch.equal(a, b) for a, b in zip(old, new, strict=True)):
            return f"It changed those of `{name}` in place; write x * 2, not x.mul_(2)."
    return ""


def keeps_rows_apart(item: Item) -> str:
    """A row's values don't depend on the other rows of the batch."""
    together = _values(item, _views(item))
    alone = torch.cat([_values(item, _views(item, [row])) for row in range(len(_LENGTHS))])
    return _unless_close(together, alone, "rows together", "each alone")


def counts_marked_tokens(item: Item) -> str:
    """A token with mark 0 (outside a row's focus) changes nothing, or it is registered with unmarked=True."""
    if item.facts["per"] == "token" or item.facts["unmarked"]:
        return ""  # the loop weighs tokens; or the term says that it reads these
    views = _views(item)
    unmarked = torch.arange(len(views[0].row)) % 2 == 1
    marked = [replace(view, mark=(~unmarked).float()) for view in views]
    other = [_changed(view, unmarked) for view in marked]
    return _unless_close(
        _values(item, marked), _values(item, other), "as scored", "with other unmarked tokens"
    )


TERM_CONTRACTS: Sequence[Callable[[Item], str]] = (
    reads_views_that_exist,
    has_what_its_decorator_names,
    returns_one_value_each,
    has_gradients,
    pushes_its_way,
    is_finite_at_the_ends,
    leaves_its_scores,
    keeps_rows_apart,
    counts_marked_tokens,
)


def _values(item: Item, views: Sequence[Scored]) -> Tensor:
    values: Tensor = item.function(*views, **item.bind({}))
    return values


def _views(item: Item, rows: Sequence[int] = tuple(range(len(_LENGTHS)))) -> list[Scored]:
    """Return made-up scores for each of a term's inputs, those of the chosen rows."""
    return [_scored(item, place, rows) for place in range(len(item.inputs))]


def _scored(item: Item, place: int, rows: Sequence[int]) -> Scored:
    parts = [_row(place, row) for row in rows]
    logits, labels, hidden = (torch.cat(part) for part in zip(*parts, strict=True))
    row = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor([_LENGTHS[r] for r in rows]))
    scored = scored_from_logits(logits, labels, row, len(rows))
    return replace(
        scored,
        logits=scored.logits if item.facts["logits"] else None,
        hidden=hidden if item.facts["hidden"] else None,
    )


def _extreme(item: Item, name: str, place: int, logit: float) -> tuple[Tensor, Scored]:
    """Return logits that are sure of every label, or of others, and the scores made of them."""
    ordinary = _scored(item, place, range(len(_LENGTHS)))
    flat = torch.zeros(len(ordinary.labels), _VOCABULARY)
    logits = flat.scatter(1, ordinary.labels[:, None], logit).requires_grad_(not name.endswith("_ref"))
    scored = scored_from_logits(logits, ordinary.labels, ordinary.row, ordinary.rows)
    kept = scored.logits if item.facts["logits"] else None
    return logits, replace(scored, logits=kept, hidden=ordinary.hidden)


def _copied(view: Scored) -> list[Tensor]:
    parts = (view.token_logps, view.logits, view.hidden, view.labels, view.row)
    return [part.clone() for part in parts if part is not None]


def _row(place: int, row: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return logits, labels and hidden states of one answer, the same whoever is in the batch."""
    stream = torch.Generator().manual_seed(100 * place + row)
    length = _LENGTHS[row]
    logits = 2 * torch.randn(length, _VOCABULARY, generator=stream)
    labels = torch.randint(_VOCABULARY, (length,), generator=torch.Generator().manual_seed(row))
    return logits, labels, torch.randn(length, _WIDTH, generator=stream)


def _changed(view: Scored, where: Tensor) -> Scored:
    """Return scores in which the model says something else of some tokens."""

    def turned(values: Tensor | None) -> Tensor | None:
        return None if values is None else torch.where(where[:, None], values.flip(-1), values)

    return replace(
        view,
        token_logps=torch.where(where, view.token_logps - 0.7, view.token_logps),
        logits=turned(view.logits),
        hidden=turned(view.hidden),
    )


def _unless_close(first: Tensor, second: Tensor, one: str, other: str) -> str:
    if first.shape == second.shape and torch.allclose(first, second, atol=_CLOSE, rtol=_CLOSE):
        return ""
    return f"{one}: {_shown(first)}; {other}: {_shown(second)}."


def _shown(values: Tensor) -> str:
    shown = ", ".join(f"{v:.4g}" for v in values.flatten()[:6].tolist())
    return f"[{shown}{', …' if values.numel() > 6 else ''}]"
