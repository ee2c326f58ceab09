"""The family of row metrics: pure functions of one row's records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from forgetwell.calls import parse_call
from forgetwell.registry import Family
from forgetwell.types import Better, Record

Metric = TypeVar("Metric", bound=Callable[..., float])

ROW_METRICS = Family("row metric", "forgetwell.metrics")


def row_metric(*, better: Better, meaning: str, paper: str) -> Callable[[Metric], Metric]:
    """Register a row metric; its positional parameters name the parts of a `Record` it reads."""

    def register(function: Metric) -> Metric:
        ROW_METRICS.add(function, better=better, meaning=meaning, paper=paper)
        return function

    return register


def measure(records: Sequence[Record], metric: str) -> list[float | None]:
    """Return one value a row; None where a part that the metric reads is missing or empty."""
    item, hyperparameters = ROW_METRICS.resolve(parse_call(metric))
    values: list[float | None] = []
    for record in records:
        parts = [getattr(record, name) for name in item.inputs]
        there = all(part is not None and part != () for part in parts)
        values.append(float(item.function(*parts, **hyperparameters)) if there else None)
    return values
