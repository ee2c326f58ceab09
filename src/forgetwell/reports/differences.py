"""Every difference between runs, with the chance that it is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from forgetwell.metrics.comparison import benjamini_hochberg
from forgetwell.reports.loading import CONDITIONS, RunView
from forgetwell.reports.paired import chance, difference, measured
from forgetwell.reports.tables import MAIN, METRICS, metric_title, set_order, split_title

ALPHA = 0.05


@dataclass(frozen=True)
class Difference:
    """One metric on one split: what run `b` has more than run `a` on the same rows.

    Attributes:
        metric: The row metric.
        split: Set and condition.
        a: Name of the run compared with.
        b: Name of the run.
        value: Mean of b - a.
        low: Lower end of the paired 95 % interval.
        high: Its upper end.
        n: Rows.
        p: Of the paired permutation test.
        by: What was taken as one piece of evidence: "subject", or "question" where subjects are too few.
        q: p adjusted for all differences of the report (Benjamini-Hochberg).
        good: Whether it is for the better; None where no direction is.
    """

    metric: str
    split: str
    a: str
    b: str
    value: float
    low: float
    high: float
    n: int
    p: float
    by: Literal["subject", "question"]
    q: float
    good: bool | None

    @property
    def clear(self) -> bool:
        """Whether it is significant at a false discovery rate of 5 %."""
        return self.q <= ALPHA

    @property
    def verdict(self) -> Literal["higher", "lower", "not significant"]:
        """What one may say of it."""
        if not self.clear:
            return "not significant"
        return "higher" if self.value > 0 else "lower"

    @property
    def tone(self) -> Literal["good", "bad", "neutral"]:
        """Good or bad news, or neither."""
        if not self.clear or self.good is None:
            return "neutral"
        return "good" if self.good else "bad"


@dataclass(frozen=True)
class DifferenceTable:
    """The differences of one metric: a line for each split, a column for each pair of runs."""

    metric: str
    title: str
    pairs: tuple[Pair, ...]
    lines: tuple[tuple[str, tuple[Difference | None, ...]], ...]


@dataclass(frozen=True)
class Pair:
    """Two runs that are compared: b against a."""

    a: RunView
    b: RunView


def find_differences(runs: Sequence[RunView]) -> tuple[Difference, ...]:
    """Return all differences between compared runs that were measured on the same rows.

    Known conditions are compared each with the one before it (plain with before, attacked with plain,
    defended with attacked), other runs with the first. All p-values of the report are adjusted together.
    """
    found = [d for pair in run_pairs(runs) for d in _pair_differences(pair)]
    adjusted = benjamini_hochberg([d.p for d in found])
    return tuple(replace(d, q=float(q)) for d, q in zip(found, adjusted, strict=True))


def run_pairs(runs: Sequence[RunView]) -> tuple[Pair, ...]:
    """Return which runs are compared with which."""
    measured_runs = [r for r in runs if r.answers]
    conditions = [r.condition for r in measured_runs]
    if all(conditions) and len(set(conditions)) == len(conditions):
        chain = sorted(measured_runs, key=lambda r: CONDITIONS.index(r.condition))
        return tuple(Pair(a, b) for a, b in pairwise(chain))
    return tuple(Pair(measured_runs[0], run) for run in measured_runs[1:])


def difference_tables(
    runs: Sequence[RunView], differences: Sequence[Difference]
) -> tuple[DifferenceTable, ...]:
    """Return the differences as tables, one a metric, the main metric first."""
    pairs = run_pairs(runs)
    known = {(d.metric, d.split, d.a, d.b): d for d in differences}
    metrics = dict.fromkeys([MAIN, *METRICS, *(d.metric for d in differences)])
    tables = []
    for metric in metrics:
        splits = sorted({d.split for d in differences if d.metric == metric}, key=set_order)
        lines = tuple(
            (split_title(s), tuple(known.get((metric, s, p.a.name, p.b.name)) for p in pairs)) for s in splits
        )
        if lines:
            tables.append(DifferenceTable(metric, metric_title(metric), pairs, lines))
    return tuple(tables)


def _pair_differences(pair: Pair) -> Iterator[Difference]:
    for metric, split in pair.b.results:
        if (metric, split) not in pair.a.results:
            continue
        a, b = (measured(run, split, metric) for run in (pair.a, pair.b))
        if a is None or b is None:
            continue
        interval, test = difference(b, a), chance(b, a)
        if interval is None or test is None:
            continue
        better = b.result.better
        good = None if better == "none" or not interval.value else (interval.value > 0) == (better == "high")
        ends = (interval.value, interval.low, interval.high, interval.n)
        yield Difference(metric, split, pair.a.name, pair.b.name, *ends, test.p, test.by, test.p, good)
