"""The built-in world as a bench."""

from __future__ import annotations

from dataclasses import replace

from forgetwell.data.world import learning_rows, load_world
from forgetwell.experiments.bench import Bench, bench
from forgetwell.training.config import TrainConfig
from forgetwell.types import Row

_GENERAL = 41  # general questions beside the world's 40 facts to keep


@bench(paper="2506.00359")
def world(*, phrasings: int = 2, epochs: int = 6, keep: bool = False) -> Bench:
    """Return the built-in world: 3 of 12 learned people ask to be forgotten.

    Unlearning may train on the facts of 5 others and on general questions, of which a provider has plenty.

    Args:
        phrasings: Phrasings of each fact that are learned (1 … 3).
        epochs: Passes over them.
        keep: Hold the model at its own answers to the general questions, instead of training it on ours.

    Source: ours, data/assets/world/DATASHEET.md; the protocol of arXiv 2506.00359, section 5, with people of
    ours.
    """
    people = load_world()
    facts = tuple(r for r in learning_rows(people) if _phrasing(r) < phrasings)
    made = Bench(
        "world",
        (*facts, *people.replay),
        TrainConfig(lr=5e-5, epochs=epochs, batch=16),
        people.request,
        (*people.retain, *people.replay[:_GENERAL]),
        {"retain": people.retain, "unseen": people.unseen, "general": people.evaluation},
        24,
        people.never,
    )
    if not keep:
        return made
    return replace(made, name="kept_world", learn=facts, retain=people.retain, keep=people.replay)


def _phrasing(row: Row) -> int:
    """Return which phrasing of its fact a learned row is."""
    return int(row.id.rpartition("~")[2])
