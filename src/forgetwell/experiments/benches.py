"""What claims are made on: a model that has learned facts, a request, rows to keep, and utility sets."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from forgetwell.data.benchmarks import tofu
from forgetwell.data.world import learning_rows, load_world
from forgetwell.errors import InputError
from forgetwell.requests.template_sets import load_templates, trigger_rows
from forgetwell.requests.wording import as_attacked
from forgetwell.training.config import TrainConfig
from forgetwell.types import Request, Row

_AUTHOR = 20  # TOFU's questions an author
_GENERAL = 41  # general questions beside the world's 40 facts to keep


@dataclass(frozen=True)
class Bench:
    """A data set with everything an experiment on it needs.

    Attributes:
        name: ``world`` or ``tofu``.
        learn: What the starting model learns.
        learning: How it learns it.
        request: Rows to forget, before any attack.
        retain: Rows that unlearning may train on to keep.
        utility: Sets on which utility is measured.
        max_new_tokens: Length of answers.
        others: Rows about still others, for training that goes on after unlearning.
    """

    name: str
    learn: tuple[Row, ...]
    learning: TrainConfig
    request: tuple[Row, ...]
    retain: tuple[Row, ...]
    utility: Mapping[str, tuple[Row, ...]] = field(repr=False)
    max_new_tokens: int
    others: tuple[Row, ...] = ()

    @property
    def background(self) -> tuple[Row, ...]:
        """Ordinary prompts that a provider screens against: rows to keep, and those about still others."""
        return (*self.retain, *self.others)


def world_bench(*, phrasings: int = 2, epochs: int = 6) -> Bench:
    """Return the built-in world: 3 of 12 learned people ask to be forgotten.

    Unlearning may train on the facts of 5 others and on general questions, of which a provider has plenty.

    Args:
        phrasings: Phrasings of each fact that are learned (1 … 3).
        epochs: Passes over them.

    Source: data/assets/world/DATASHEET.md.
    """
    world = load_world()
    learn = tuple(r for r in learning_rows(world) if _phrasing(r) < phrasings)
    return Bench(
        "world",
        learn,
        TrainConfig(lr=5e-5, epochs=epochs, batch=16),
        world.request,
        (*world.retain, *world.replay[:_GENERAL]),
        {"retain": world.retain, "unseen": world.unseen, "general": world.evaluation},
        24,
        world.never,
    )


def tofu_bench(*, authors: int = 20, epochs: int = 6) -> Bench:
    """Return TOFU cut to some authors: forget01's two are forgotten, the first ones of retain are kept.

    Args:
        authors: Learned authors in all.
        epochs: Passes over their rows; TOFU has 5, of many more rows.

    Raises:
        MissingError: FORGETWELL_DATA names no folder with TOFU.

    Source: Maini et al. (TOFU), arXiv 2401.06121; the cut is ours, for two processor cores.
    """
    request = tofu("forget01_perturbed")
    retain = tofu("retain_perturbed", limit=(authors - len(request) // _AUTHOR) * _AUTHOR)
    utility = {
        "retain": retain,
        "real_authors": tofu("real_authors_perturbed"),
        "world_facts": tofu("world_facts_perturbed"),
    }
    learning = TrainConfig(lr=2e-4, epochs=epochs, batch=16)
    others = tofu("holdout01")
    return Bench("tofu", (*request, *retain), learning, request, retain, utility, 40, others)


def full_tofu_bench(share: Literal["05", "10"]) -> Bench:
    """Return all of TOFU: 4,000 learned rows, of which a share is forgotten, as in the paper.

    Args:
        share: Per cent of the authors that are forgotten.

    Raises:
        MissingError: FORGETWELL_DATA names no folder with TOFU.

    Source: arXiv 2506.00359, section 5.1. Its utility sets have 400 retain, 100 author and 117 fact rows.
    """
    utility = {name: tofu(f"{name}_perturbed") for name in ("retain", "real_authors", "world_facts")}
    request, retain = tofu(f"forget{share}_perturbed"), tofu(f"retain{100 - int(share)}")
    learning = TrainConfig(lr=2e-4, epochs=5, batch=16)
    others = tofu("holdout10")
    return Bench(f"tofu{share}", tofu("full"), learning, request, retain, utility, 40, others)


BENCHES: Mapping[str, Callable[[], Bench]] = {
    "world": world_bench,
    "tofu": tofu_bench,
    "tofu05": lambda: full_tofu_bench("05"),
    "tofu10": lambda: full_tofu_bench("10"),
}


def sampled_utility(
    bench: Bench, *, per_set: int, seed: int, trigger: str = ""
) -> dict[str, tuple[Row, ...]]:
    """Return, by split key, `per_set` rows of each utility set, clean and with a trigger.

    The paper's protocol puts every template of the set on every question.

    Args:
        bench: Whose sets.
        per_set: Rows of each.
        seed: Of the sample, and of the attack.
        trigger: Another attack, whose wording the questions get (`as_attacked`).

    Raises:
        InputError: `per_set` is below 1, or the attack has no wording.
    """
    if per_set < 1:
        raise InputError(f"per_set is {per_set}; it must be at least 1.")
    request, splits = Request(bench.name, bench.request), {}
    for name, rows in bench.utility.items():
        chosen = _sample(rows, per_set, f"{seed}/{name}")
        splits[f"{name}/clean"] = chosen
        splits[f"{name}/trigger"] = (
            as_attacked(chosen, request, trigger, seed=seed)
            if trigger
            else trigger_rows(chosen, load_templates("tofu"))
        )
    return splits


def _sample(rows: Sequence[Row], count: int, seed: str) -> tuple[Row, ...]:
    return tuple(random.Random(seed).sample(list(rows), min(count, len(rows))))


def _phrasing(row: Row) -> int:
    """Return which phrasing of its fact a learned row is (0 for rows that have but one)."""
    return int(row.id.rpartition("~")[2]) if "~" in row.id else 0
