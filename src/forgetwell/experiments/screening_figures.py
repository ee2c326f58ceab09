"""Figures of the screening study: areas, rates with exact intervals, and their tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import beta

from forgetwell.metrics.privacy import auc

_LEVEL = 0.95
MANY = 5  # rewritten rows of 40 from which a request counts as well attacked


@dataclass(frozen=True)
class ScoredRequest:
    """One request as the screens see it.

    Attributes:
        scores: log10 of 1/p by screen, 0 = nothing, scaled so that 2 is the level of each screen's default.
        alarms: The screens that raise an alarm with their defaults.
        rewritten: Rows that the attack changed.
    """

    scores: Mapping[str, float]
    alarms: tuple[str, ...]
    rewritten: int = 0

    @property
    def score(self) -> float:
        """The strongest of the screens."""
        return max(self.scores.values())


@dataclass(frozen=True)
class Rate:
    """A share with its exact (Clopper-Pearson) 95 % interval, requests taken as independent."""

    count: int
    n: int

    @property
    def value(self) -> float:
        """The share."""
        return self.count / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The interval.

        Source: Clopper and Pearson, Biometrika 26 (1934), 404-413.
        """
        outside = (1 - _LEVEL) / 2
        low = beta.ppf(outside, self.count, self.n - self.count + 1) if self.count else 0.0
        high = beta.isf(outside, self.count + 1, self.n - self.count) if self.count < self.n else 1.0
        return float(low), float(high)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count} of {self.n} ({self.value:.1%}; {low:.1%} to {high:.1%})"


@dataclass(frozen=True)
class FamilyRate:
    """One family at one rate.

    Attributes:
        family: The attack.
        rate: Its p.
        auc: Area under the ROC curve against ordinary honest requests.
        tpr: True-positive rate where 1 % of ordinary honest requests are flagged.
        flagged: Requests flagged by the shipped defaults.
        well_attacked: The same of those with at least 5 rewritten rows.
    """

    family: str
    rate: float
    auc: float
    tpr: float
    flagged: Rate
    well_attacked: Rate


def tpr_at(honest: Sequence[float], attacked: Sequence[float], fpr: float) -> float:
    """Return the share of attacked scores above the smallest threshold that at most `fpr` of honest pass."""
    allowed = int(fpr * len(honest) + 1e-9)
    threshold = sorted(honest, reverse=True)[allowed]
    return float(np.mean(np.asarray(attacked) > threshold))


def roc_points(honest: Sequence[float], attacked: Sequence[float]) -> list[tuple[float, float]]:
    """Return (false-positive rate, true-positive rate) at every distinct threshold, from (0, 0) to (1, 1)."""
    h, a = np.asarray(honest), np.asarray(attacked)
    thresholds = sorted({*honest, *attacked}, reverse=True)
    return [(0.0, 0.0), *((float((h >= t).mean()), float((a >= t).mean())) for t in thresholds)]


def flagged(scored: Sequence[ScoredRequest]) -> Rate:
    """Return how many requests raise any alarm."""
    return Rate(sum(bool(s.alarms) for s in scored), len(scored))


def cell(
    family: str, rate: float, plain: Sequence[ScoredRequest], attacked: Sequence[ScoredRequest]
) -> FamilyRate:
    """Return the figures of one family at one rate."""
    honest, own = [s.score for s in plain], [s.score for s in attacked]
    well = [s for s in attacked if s.rewritten >= MANY]
    return FamilyRate(
        family,
        rate,
        auc(np.array(honest), np.array(own)),
        tpr_at(honest, own, 0.01),
        flagged(attacked),
        flagged(well),
    )


def cell_table(cells: Sequence[FamilyRate]) -> str:
    """Return a table, a family a line: the default's TPR, then TPR at 1 % FPR (AUC)."""
    rates = sorted({c.rate for c in cells})
    lines = ["| attack | " + " | ".join(f"p = {r:g}" for r in rates) + " |", "|---" * (len(rates) + 1) + "|"]
    for family in dict.fromkeys(c.family for c in cells):
        own = {c.rate: c for c in cells if c.family == family}
        values = (f"{own[r].flagged.value:.2f}; {own[r].tpr:.2f} ({own[r].auc:.3f})" for r in rates)
        lines.append(f"| `{family}` | " + " | ".join(values) + " |")
    return "\n".join(lines)


def interval_table(cells: Sequence[FamilyRate], rate: float) -> str:
    """Return the shipped defaults' rates at one p with intervals, of all and of well attacked requests."""
    lines = [
        f"| attack, p = {rate:g} | flagged by the defaults | of those with {MANY} or more rewritten rows |",
        "|---|---|---|",
    ]
    return "\n".join(
        [*lines, *(f"| `{c.family}` | {c.flagged} | {c.well_attacked} |" for c in cells if c.rate == rate)]
    )


def honest_table(groups: Mapping[str, Sequence[Sequence[ScoredRequest]]]) -> str:
    """Return, for each group of honest requests, how many are flagged: in all, split by split, by screen."""
    lines = ["| honest requests | flagged | in each split | by screen |", "|---|---|---|---|"]
    for name, splits in groups.items():
        whole = [s for split in splits for s in split]
        each = ", ".join(str(flagged(split).count) for split in splits)
        screens = Counter(name for s in whole for name in s.alarms)
        by = ", ".join(f"`{n}` {k}" for n, k in screens.most_common()) or "–"
        lines.append(f"| {name} | {flagged(whole)} | {each} | {by} |")
    return "\n".join(lines)


def cell_record(item: FamilyRate) -> dict[str, Any]:
    """Return a cell as JSON has it, its rates with their intervals."""
    return asdict(item) | {
        name: {"count": r.count, "n": r.n, "interval": r.interval}
        for name, r in (("flagged", item.flagged), ("well_attacked", item.well_attacked))
    }
