"""Schedules: how a term's weight changes over a run, as in ``5*linear(until=0.5)*su``."""

from __future__ import annotations

import math
from collections.abc import Callable

from forgetwell.errors import InputError
from forgetwell.registry import Family

SCHEDULES = Family("schedule", "forgetwell.objectives")
Schedule = Callable[..., float]


def schedule(function: Schedule) -> Schedule:
    """Register a schedule: ``(progress, *, …) -> factor`` ≥ 0 on a weight.

    Progress is the step over all planned steps, in (0, 1]: 1/steps at the first, 1 at the last. A run that a
    stop rule ends early has not come to 1.
    """
    SCHEDULES.add(function)
    return function


@schedule
def linear(progress: float, *, start: float = 0.0, end: float = 1.0, until: float = 0.5) -> float:
    """Move in a straight line from one factor to another, then stay.

    ``factor = start + (end - start) min(1, progress/until)``.

    Args:
        progress: Share of the run's steps.
        start: Factor before the run, ≥ 0.
        end: Factor from `until` on, ≥ 0.
        until: Share of the run, above 0 and at most 1.

    Raises:
        InputError: A value is outside its range.

    Source: ours; the line of learning-rate warm-ups.
    Tested: not yet on the default model.
    Fails when: a stop rule ends the run early: the weight has then not reached `end`.
    """
    return start + (end - start) * _share(progress, start, end, until)


@schedule
def cosine(progress: float, *, start: float = 0.0, end: float = 1.0, until: float = 0.5) -> float:
    """Move along half a cosine from one factor to another, then stay: slow at both ends.

    ``factor = start + (end - start) (1 - cos(π min(1, progress/until)))/2``.

    Args:
        progress: Share of the run's steps.
        start: Factor before the run, ≥ 0.
        end: Factor from `until` on, ≥ 0.
        until: Share of the run, above 0 and at most 1.

    Raises:
        InputError: A value is outside its range.

    Source: ours; the half cosine by which learning rates fall in Loshchilov and Hutter, arXiv 1608.03983.
    Tested: not yet on the default model.
    Fails when: as `linear`.
    """
    return start + (end - start) * (1 - math.cos(math.pi * _share(progress, start, end, until))) / 2


def _share(progress: float, start: float, end: float, until: float) -> float:
    """Return how much of the way is done, 0 … 1."""
    if min(start, end) < 0 or not 0 < until <= 1:
        raise InputError(
            f"A schedule has start={start:g}, end={end:g}, until={until:g}; factors are at least 0, and "
            "`until` is a share of the run, above 0 and at most 1."
        )
    return min(1.0, progress / until)
