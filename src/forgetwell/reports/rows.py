"""Row by row: every run's answer to each question, the worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetwell.reports.examples import Example, Key, example, score, shared_keys
from forgetwell.reports.loading import RunView
from forgetwell.reports.tables import set_order, split_title

SHOWN = 40  # rows of a set on the page
WORST = 3


@dataclass(frozen=True)
class Drill:
    """The rows of one set, the worst first.

    Attributes:
        title: The set and its condition.
        total: Rows that were measured.
        worst: Which end of the scores comes first, in words.
        examples: At most `SHOWN` rows.
    """

    title: str
    total: int
    worst: str
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Worst:
    """The rows at which one run did worst."""

    run: RunView
    title: str
    examples: tuple[Example, ...]


def drill_down(runs: Sequence[RunView]) -> tuple[Drill, ...]:
    """Return each set's rows, sorted by how badly the last run did on them."""
    runs = [r for r in runs if r.answers]
    keys = shared_keys(runs)
    drills = []
    for split in sorted({k[0] for k in keys}, key=set_order):
        own = sorted((k for k in keys if k[0] == split), key=lambda k: (-_badness(runs[-1], k), k))
        words = "most still said first" if runs[-1].unwanted(split) else "least said first"
        examples = tuple(example(runs, k, "") for k in own[:SHOWN])
        drills.append(Drill(split_title(split), len(own), words, examples))
    return tuple(drills)


def worst_rows(runs: Sequence[RunView]) -> tuple[Worst, ...]:
    """Return what each run still says of what it should have forgotten, and what it lost beside it.

    Lost is where the score fell most against the first run; the first run itself is left out.
    """
    runs = [r for r in runs if r.answers]
    if len(runs) < 2:
        return ()
    keys, first = shared_keys(runs), runs[0]
    found = []
    for run in runs[1:]:
        still = [k for k in keys if run.role(k[0]) == "forget" and k[0].endswith("/clean")]
        kept = _top({k: score(run.answers[k]) or 0.0 for k in still})
        lost = _top({k: _fall(first, run, k) for k in keys if not run.unwanted(k[0])})
        for title, chosen in (("Still said", kept), ("Lost", lost)):
            if chosen:
                found.append(Worst(run, title, tuple(example([first, run], k, "") for k in chosen)))
    return tuple(found)


def _top(values: Mapping[Key, float]) -> list[Key]:
    ranked = sorted((k for k, value in values.items() if value > 0), key=lambda k: (-values[k], k))
    return ranked[:WORST]


def _fall(first: RunView, run: RunView, key: Key) -> float:
    before, after = score(first.answers[key]), score(run.answers[key])
    return before - after if before is not None and after is not None else 0.0


def _badness(run: RunView, key: Key) -> float:
    found = score(run.answers[key])
    if found is None:
        return -1.0
    return found if run.unwanted(key[0]) else 1 - found
