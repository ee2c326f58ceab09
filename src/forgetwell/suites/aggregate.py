"""Tables from row values: one line a split, and averages over the sets of a role, each with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forgetwell.calls import parse_call
from forgetwell.metrics.registry import ROW_METRICS
from forgetwell.metrics.sets import Column
from forgetwell.metrics.statistics import (
    Interval,
    Sample,
    cluster_bootstrap,
    paired_difference,
    request_units,
)
from forgetwell.suites.types import Split, SplitRole, clean_id
from forgetwell.types import Better, Result, Row

OTHER_WAY: Mapping[Better, Better] = {"high": "low", "low": "high", "none": "none"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One metric on one split; a value is None where the metric does not apply."""

    split: Split
    values: Sequence[float | None]

    @property
    def skipped(self) -> int:
        """Rows to which the metric did not apply."""
        return sum(v is None for v in self.values)

    def sample(self) -> Sample:
        """Return the values that there are, each with its row's cluster."""
        there = self._there
        return Sample([v for v, _ in there], _clusters([r for _, r in there], self.split))

    def column(self) -> Column:
        """Return the same for a set metric."""
        there = self._there
        return Column(
            self.split.key,
            np.array([v for v, _ in there], dtype=np.float64),
            tuple(clean_id(self.split.key, r.id) for _, r in there),
            tuple(_clusters([r for _, r in there], self.split)),
            self.skipped,
        )

    @property
    def _there(self) -> list[tuple[float, Row]]:
        return [(v, r) for v, r in zip(self.values, self.split.rows, strict=True) if v is not None]


def _clusters(rows: Sequence[Row], split: Split) -> Sequence[str]:
    questions = [clean_id(split.key, row.id) for row in rows]
    subjects = [row.subject or question for row, question in zip(rows, questions, strict=True)]
    return request_units(subjects, questions) if split.forgets else subjects


def split_results(lm: str, metric: str, measured: Sequence[Measured], seed: int) -> list[Result]:
    """Return one result for every split in which the metric applies to some row."""
    results = []
    for m in measured:
        sample = m.sample()
        if sample.values:
            interval = cluster_bootstrap([sample], seed=seed)
            better = _better(metric, forget=m.split.forgets)
            results.append(_result(lm, metric, m.split.key, interval, better, m.skipped))
    return results


def role_results(lm: str, metric: str, measured: Sequence[Measured], seed: int) -> list[Result]:
    """Return macro averages over the sets to forget and over the utility sets, one a condition.

    For utility also the gap between clean and trigger. A set that is named after the role stands for it;
    where no set has a value, there is no result.
    """
    named = {m.split.key for m in measured}
    asked: dict[tuple[SplitRole, str], list[Measured]] = {}
    for m in measured:
        if m.split.role in ("forget", "utility"):
            asked.setdefault((m.split.role, m.split.condition), []).append(m)
    averages = [
        (f"{role}/{condition}", [m.sample() for m in sets], sets, _better(metric, forget=role == "forget"))
        for (role, condition), sets in asked.items()
        if f"{role}/{condition}" not in named
    ]
    clean, trigger = asked.get(("utility", "clean"), []), asked.get(("utility", "trigger"), [])
    bases = {m.split.name: m for m in clean}
    gaps = [_gap(bases[m.split.name], m) for m in trigger if m.split.name in bases]
    averages.append(("utility/gap", gaps, trigger, OTHER_WAY[_better(metric, forget=False)]))
    results = []
    for key, samples, sets, better in averages:
        there = [s for s in samples if s.values]
        if there:
            interval = cluster_bootstrap(there, seed=seed)
            skipped = sum(len(m.values) for m in sets) - interval.n
            results.append(_result(lm, metric, key, interval, better, skipped))
    return results


def _gap(clean: Measured, trigger: Measured) -> Sample:
    """Return clean - trigger, one value for each trigger row whose clean row has a value too."""
    before = {row.id: v for row, v in zip(clean.split.rows, clean.values, strict=True)}
    rows = zip(trigger.split.rows, trigger.values, strict=True)
    pairs = [(before.get(clean_id(trigger.split.key, row.id)), v, row) for row, v in rows]
    there = [(a, b, row) for a, b, row in pairs if a is not None and b is not None]
    clusters = _clusters([row for _, _, row in there], trigger.split)
    return paired_difference([a for a, _, _ in there], [b for _, b, _ in there], clusters)


def _better(metric: str, *, forget: bool) -> Better:
    """Return which way a metric is better on rows to forget, or on rows to keep."""
    call = parse_call(metric)
    facts = ROW_METRICS.get(call.name).facts
    stated: Better = facts["better"]
    if stated != "none":
        return stated
    if call.arguments:
        return "none"  # a variant may turn the metric round, as truth_ratio(variant=ratio) does
    kept: Better = facts["kept"]
    return OTHER_WAY[kept] if forget else kept


def _result(lm: str, metric: str, key: str, interval: Interval, better: Better, skipped: int) -> Result:
    return Result(lm, metric, key, interval.value, interval.low, interval.high, interval.n, better, skipped)
