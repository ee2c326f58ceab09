"""Which contracts an item has, and whether it keeps them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from forgetwell.contracts.answers import METRIC_CONTRACTS
from forgetwell.contracts.descending import STEP_RULE_CONTRACTS
from forgetwell.contracts.losses import TERM_CONTRACTS
from forgetwell.contracts.providing import REPAIR_CONTRACTS, SCREEN_CONTRACTS
from forgetwell.contracts.rewriting import ATTACK_CONTRACTS
from forgetwell.contracts.summing import CURVE_METRIC_CONTRACTS, SET_METRIC_CONTRACTS
from forgetwell.contracts.viewing import VIEW_CONTRACTS
from forgetwell.contracts.weighing import SCHEDULE_CONTRACTS
from forgetwell.registry import Item

Contract = Callable[[Item], str]
_ALONE = "The random state that the whole program shares (random, numpy, torch) stays as it was"


@dataclass(frozen=True)
class Check:
    """One contract of one item.

    Attributes:
        family: The item's family.
        name: The item.
        contract: What is kept, in words.
        problem: What is not kept, in a sentence; "" = it is kept.
    """

    family: str
    name: str
    contract: str
    problem: str


def check_item(item: Item) -> tuple[Check, ...]:
    """Try an item's contracts with its default hyperparameters.

    An error of the item's own is a contract that isn't kept, and says which error.
    """
    contracts = (is_documented, *_CONTRACTS.get(item.family, (has_defaults,)))
    found = tuple(Check(item.family, item.name, _words(c), _tried(c, item)) for c in contracts)
    return (*found, Check(item.family, item.name, _ALONE, _drawn(item, contracts)))


def _drawn(item: Item, contracts: Sequence[Contract]) -> str:
    """Say whether the contracts, tried again, draw from the program's random state or set it.

    Again, since some libraries draw when they are imported.
    """
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
    _sow()
    expected = _draws()
    _sow()
    for contract in contracts:
        _tried(contract, item)
    same = _draws() == expected
    random.setstate(kept[0])
    np.random.set_state(kept[1])
    torch.set_rng_state(kept[2])
    return "" if same else "Draw from a generator of your own, as random.Random(seed)."


def _sow() -> None:
    """Set the program's random state to one that no item sets."""
    random.seed("forgetwell")
    np.random.seed(0x666F7267)
    torch.set_rng_state(torch.Generator().manual_seed(0x666F7267).get_state())


def _draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), torch.rand(1).item()


def is_documented(item: Item) -> str:
    """Its docstring says what it does."""
    return "" if item.summary else "It has no docstring, which `forgetwell show` and reports print."


def has_defaults(item: Item) -> str:
    """Every hyperparameter has a default."""
    lacking = [name for name, parameter in item.hyperparameters.items() if parameter.required]
    return f"{', '.join(lacking)} has none, so that the plain name can't be used." if lacking else ""


_CONTRACTS: Mapping[str, Sequence[Contract]] = {
    "term": (has_defaults, *TERM_CONTRACTS),
    "view": (has_defaults, *VIEW_CONTRACTS),
    "schedule": (has_defaults, *SCHEDULE_CONTRACTS),
    "step rule": (has_defaults, *STEP_RULE_CONTRACTS),
    "request attack": (has_defaults, *ATTACK_CONTRACTS),
    "screen": (has_defaults, *SCREEN_CONTRACTS),
    "repair": (has_defaults, *REPAIR_CONTRACTS),
    "row metric": (has_defaults, *METRIC_CONTRACTS),
    "set metric": (has_defaults, *SET_METRIC_CONTRACTS),
    "curve metric": (has_defaults, *CURVE_METRIC_CONTRACTS),
    "suite": (),  # which may need a file
    "bench": (),
}


def _words(contract: Contract) -> str:
    return (contract.__doc__ or "").strip().removesuffix(".")


def _tried(contract: Contract, item: Item) -> str:
    try:
        return contract(item)
    except Exception as error:  # whatever it is, its author wants to read it
        return f"It raised {type(error).__name__}: {error}"
