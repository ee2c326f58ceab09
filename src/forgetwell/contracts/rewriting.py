"""Contracts of request attacks, tried on requests of questions and of plain texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from forgetwell.contracts.trying import accepted
from forgetwell.registry import Item
from forgetwell.requests.attacks import attack_request
from forgetwell.types import Request, Row

_SEEDS = range(8)


def leaves_rows_in_place(item: Item) -> str:
    """Every row comes back, in its place and under its id."""
    for before, after in _attacked(item):
        ids, found = ([row.id for row in request.rows] for request in (before, after))
        if found != ids:
            return f"Of {len(ids)} {before.id} {len(found)} came back, the first {found[:3]}."
    return ""


def leaves_what_it_was_given(item: Item) -> str:
    """The request that it was given is unchanged."""
    once = (_questions(), _texts())
    list(accepted(lambda request: attack_request(request, item.name, seed=3), once))
    return "" if once == (_questions(), _texts()) else "It was changed: return another one, by `replace`."


def follows_its_seed(item: Item) -> str:
    """The same seed gives the same request."""
    once, again = list(_attacked(item)), list(_attacked(item))
    return "" if once == again else "Two calls with one seed differ: draw from random.Random(seed) alone."


def draws_by_its_seed(item: Item) -> str:
    """Where it rewrites some of the rows, other seeds rewrite others."""
    if "seed" not in item.hyperparameters:
        return ""
    tried = [list(_attacked(item, seed)) for seed in _SEEDS]
    for place, (before, after) in enumerate(tried[0]):
        known = {row.id: row for row in before.rows}
        changed = sum(known.get(row.id, row) != row for row in after.rows)
        if 0 < changed < len(before.rows) and all(t[place][1].rows == after.rows for t in tried):
            return (
                f"Seeds {_SEEDS[0]} to {_SEEDS[-1]} rewrite the same {changed} of {len(before.rows)} "
                f"{before.id}: draw from random.Random(seed), or take the parameter `seed` out."
            )
    return ""


def records_what_was_there(item: Item) -> str:
    """A changed row says in its edit who changed it, and what it was."""
    for before, after in _attacked(item):
        for old, new in zip(before.rows, after.rows, strict=False):  # how many, another contract says
            if new == old or new.id != old.id:
                continue
            edit = new.edit
            if edit is None or (edit.by, edit.prompt, edit.answer) != (item.name, old.prompt, old.answer):
                return f"Row {old.id} was changed, and its edit is {edit}. `rewrite` records it."
    return ""


ATTACK_CONTRACTS: Sequence[Callable[[Item], str]] = (
    leaves_rows_in_place,
    leaves_what_it_was_given,
    follows_its_seed,
    draws_by_its_seed,
    records_what_was_there,
)


def _attacked(item: Item, seed: int = 3) -> Iterator[tuple[Request, Request]]:
    """Give each request before and after."""
    return accepted(lambda request: attack_request(request, item.name, seed=seed), (_questions(), _texts()))


def _questions() -> Request:
    rows = (Row(f"q{i}", f"Where does Ada {i} live?", f"In town {i}.", f"Ada {i}") for i in range(12))
    return Request("questions", tuple(rows))


def _texts() -> Request:
    rows = (Row(f"t{i}", "", f"Ada {i} was born here. She wrote books.", text=True) for i in range(12))
    return Request("texts", tuple(rows))
