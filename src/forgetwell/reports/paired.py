"""Two runs compared on the very same questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from forgetwell.metrics.comparison import Chance, sign_flip_test
from forgetwell.metrics.statistics import FEWEST, Interval, Paired, Sample, request_units, resample
from forgetwell.reports.loading import RunView
from forgetwell.reports.tables import MAIN
from forgetwell.suites.types import clean_id
from forgetwell.types import Result

Key = tuple[str, str]  # set, row id
_ALPHA = 0.05


@dataclass(frozen=True)
class Scored:
    """One row's value, the question it asks (in a template or not), and the cluster it belongs to."""

    value: float
    question: str
    cluster: str


@dataclass(frozen=True)
class Measured:
    """An aggregate with the rows it was made from.

    Attributes:
        result: The aggregate.
        rows: The rows by (set, id); empty unless all of them are known.
        forgets: Whether their answers are those to forget.
    """

    result: Result
    rows: Mapping[Key, Scored] = field(default_factory=dict)
    forgets: bool = False


def measured(run: RunView, split: str, metric: str = MAIN) -> Measured | None:
    """Return a run's values on a split, or on all sets of a role in one condition (``utility/trigger``)."""
    result = run.get(metric, split)
    if result is None:
        return None
    own = _splits(run, split)
    rows = {
        (where, key): Scored(
            float(value), question := clean_id(where, key), str(row.get("subject") or question)
        )
        for (where, key), row in run.answers.items()
        if where in own and isinstance(value := (row.get("metrics") or {}).get(metric), int | float)
    }
    return Measured(result, rows if len(rows) == result.n else {}, run.unwanted(split))


def difference(a: Measured, b: Measured) -> Interval | None:
    """Return the mean of a - b over the same rows with its 95 % interval; None where rows differ.

    Sets weigh alike; subjects are resampled within each, of few to forget questions.
    """
    if not a.rows or a.rows.keys() != b.rows.keys():
        return None
    pairs = []
    for keys in _by_set(a):
        units: Sequence[str] = [a.rows[k].cluster for k in keys]
        if a.forgets:
            units = request_units(units, [a.rows[k].question for k in keys])
        pairs.append(Paired(np.array([[a.rows[k].value, b.rows[k].value] for k in keys]), units))
    return resample(pairs).mean(lambda means: means[:, 0] - means[:, 1])


def chance(a: Measured, b: Measured) -> Chance | None:
    """Return the paired permutation test of a against b; None where rows differ.

    Sets weigh alike; the differences of a subject change sign together.
    """
    if not a.rows or a.rows.keys() != b.rows.keys():
        return None
    samples = [
        Sample(
            [a.rows[k].value - b.rows[k].value for k in keys],
            [a.rows[k].cluster for k in keys],
            [a.rows[k].question for k in keys],
        )
        for keys in _by_set(a)
    ]
    return sign_flip_test(samples)


def clearly_less(a: Measured | None, b: Measured | None) -> bool:
    """Say whether a is below b beyond chance.

    On the same rows: the 95 % interval of the paired difference lies below 0, and the permutation test has
    p ≤ .05, which assumes no distribution. Else: the two intervals do not overlap, which is stricter than a
    test at 5 %.
    """
    if a is None or b is None:
        return False
    paired, test = difference(a, b), chance(a, b)
    if paired is None or test is None:
        return a.result.ends[1] < b.result.ends[0]
    return paired.high < 0 and test.p <= _ALPHA


def _by_set(measured: Measured) -> list[list[Key]]:
    sets: dict[str, list[Key]] = {}
    for key in measured.rows:
        sets.setdefault(key[0], []).append(key)
    return list(sets.values())


def _splits(run: RunView, split: str) -> set[str]:
    """Return the split itself where it was asked, else those that its mean is made of."""
    asked = {where for where, _ in run.answers}
    if split in asked:
        return {split}
    role, _, condition = split.partition("/")
    return {where for where in asked if run.role(where) == role and where.partition("/")[2] == condition}


def few_subjects(runs: Sequence[RunView]) -> tuple[str, ...]:
    """Say which utility sets have so few subjects that little can be told about others."""
    subjects: dict[str, set[str]] = {}
    for run in runs:
        for (split, row_id), row in run.answers.items():
            if run.role(split) == "utility":
                own = subjects.setdefault(split.partition("/")[0], set())
                own.add(str(row.get("subject") or clean_id(split, row_id)))
    few = [f"{name} {len(own)}" for name, own in subjects.items() if 1 < len(own) < FEWEST]
    if not few:
        return ()
    return (
        f"Few subjects ({', '.join(few)}): intervals speak of others like them and are wide, 2.7 times the "
        "spread of resamples for 3, 1.6 times for 5. More subjects narrow them, more questions hardly.",
    )
