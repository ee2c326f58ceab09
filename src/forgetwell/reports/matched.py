"""Runs read where they forgot equally much, from the probes of their training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetwell.metrics.matched import matched_utility
from forgetwell.reports.loading import Probe, RunView

LEVELS = (0.4, 0.3, 0.2)
_FORGET, *_UTILITY = ("forget.rouge_l_recall", "utility.rouge_l_recall", "trigger.rouge_l_recall")


@dataclass(frozen=True)
class MatchedLine:
    """One run at one level of forgetting.

    Attributes:
        level: Forget ROUGE-L recall at which it was read.
        run: Name of the run.
        color: Number of its color on the page.
        clean: Utility there, interpolated between probes.
        trigger: The same with the trigger.
        probes: Number of probes that the reading rests on.
    """

    level: float
    run: str
    color: int
    clean: float
    trigger: float
    probes: int


def matched_lines(runs: Sequence[RunView]) -> tuple[MatchedLine, ...]:
    """Return the runs at each level that at least two of them reached.

    Source: `forgetwell.metrics.matched`: a monotone fit to forgetting over steps, read where it first passes.
    """
    lines: list[MatchedLine] = []
    for level in LEVELS:
        read = [line for run in runs if (line := _line(run, level)) is not None]
        lines += read if len(read) > 1 else []
    return tuple(lines)


def _line(run: RunView, level: float) -> MatchedLine | None:
    probes = [p for p in run.probes if all(key in p.values for key in (_FORGET, *_UTILITY))]
    if len(probes) < 2:
        return None
    forget, clean, trigger = (_curve(probes, key) for key in (_FORGET, *_UTILITY))
    found = [matched_utility(forget, curve, level=level) for curve in (clean, trigger)]
    if found[0] is None or found[1] is None:
        return None
    return MatchedLine(level, run.name, run.color, found[0], found[1], len(probes))


def _curve(probes: Sequence[Probe], key: str) -> list[float]:
    return [p.values[key] for p in probes]
