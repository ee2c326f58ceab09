"""The built-in world as a bench."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forgetwell.data.world import World, learning_rows, load_world
from forgetwell.errors import InputError
from forgetwell.experiments.bench import Bench, bench
from forgetwell.training.config import TrainConfig
from forgetwell.types import Row

_GENERAL = 41  # general questions beside the world's 40 facts to keep


@bench(paper="2506.00359")
def world(*, phrasings: int = 2, epochs: int = 6, keep: bool = False, more: int = 0) -> Bench:
    """Return the built-in world: 3 of 12 learned people ask to be forgotten.

    Unlearning may train on the facts of 5 others and on general questions, of which a provider has plenty;
    4 others it never sees.

    Args:
        phrasings: Phrasings of each fact that are learned (1 … 3).
        epochs: Passes over them.
        keep: Hold the model at its own answers to the general questions, instead of training it on ours.
        more: How many of the world's 12 further people are learned too (0 … 11), in turn to keep in
            unlearning and unseen there: of 9 and 8 people (``more=8``) intervals are narrower.

    Raises:
        InputError: `more` is out of range.

    Source: ours, data/assets/world/DATASHEET.md; the protocol of arXiv 2506.00359, section 5, with people of
    ours.
    """
    people = _with_more(load_world(), more)
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


def _with_more(people: World, more: int) -> World:
    """Return the world with some of its further people learned: the first to keep, the second unseen."""
    further = list(dict.fromkeys(row.subject for row in people.never))
    if not 0 <= more < len(further):
        raise InputError(f"more={more} was given; of {len(further)} further people one or more stay new.")

    def of(subjects: Sequence[str]) -> tuple[Row, ...]:
        return tuple(row for row in people.never if row.subject in subjects)

    return replace(
        people,
        retain=(*people.retain, *of(further[:more:2])),
        unseen=(*people.unseen, *of(further[1:more:2])),
        never=of(further[more:]),
    )


def _phrasing(row: Row) -> int:
    """Return which phrasing of its fact a learned row is."""
    return int(row.id.rpartition("~")[2])
