"""Contracts of schedules, tried at every hundredth of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from forgetwell.contracts.trying import out_of_range, same_values
from forgetwell.registry import Item

_PROGRESS = tuple(step / 100 for step in range(1, 101))


def gives_factors(item: Item) -> str:
    """Factors are finite and at least 0 over the whole run."""
    for progress, factor in zip(_PROGRESS, _factors(item, _PROGRESS), strict=True):
        if problem := out_of_range(factor, (0.0, None)):
            return f"{problem} at progress {progress}."
    return ""


def weighs_somewhere(item: Item) -> str:
    """Some factor is above 0, so that the term counts at some step."""
    return "" if any(_factors(item, _PROGRESS)) else "All are 0."


def depends_on_progress_alone(item: Item) -> str:
    """The same progress gives the same factor, whatever came before."""
    there, back = _factors(item, _PROGRESS), _factors(item, _PROGRESS[::-1])[::-1]
    return (
        ""
        if same_values(there, back)
        else "Two calls differ: a run that is resumed would train something else."
    )


SCHEDULE_CONTRACTS: Sequence[Callable[[Item], str]] = (
    gives_factors,
    weighs_somewhere,
    depends_on_progress_alone,
)


def _factors(item: Item, progress: Sequence[float]) -> list[float]:
    return [float(item.function(p, **item.bind({}))) for p in progress]
