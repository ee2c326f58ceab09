"""The family of row metrics: pure functions of one row's records."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TypeVar

from forgetwell.calls import Call, parse_call
from forgetwell.registry import Family
from forgetwell.types import Better, Record

Metric = TypeVar("Metric", bound=Callable[..., float | None])
Range = tuple[float | None, float | None]

CurveMetric = TypeVar("CurveMetric", bound=Callable[..., float | None])

ROW_METRICS = Family("row metric", "forgetwell.metrics")
CURVE_METRICS = Family("curve metric", "forgetwell.metrics")


def row_metric(
    *,
    better: Better,
    meaning: str,
    paper: str,
    range: Range = (0.0, 1.0),
    needs: tuple[str, ...] = (),
    kept: Better = "high",
) -> Callable[[Metric], Metric]:
    """Register a row metric; its positional parameters name the parts of a `Record` it reads.

    A part whose parameter has a default may be missing. A metric returns None where it does not apply.

    Args:
        better: Which direction is better; "none" where that depends on the set.
        meaning: One plain sentence.
        paper: arXiv id of its source.
        range: Lowest and highest value; None = unbounded.
        needs: What a score must hold besides log-probabilities: "moments" (mean and deviation).
        kept: Where `better` is "none": which direction is better on rows to keep; on rows to forget it is
            the other one. High for what measures knowledge, low for refusals and surprise at the truth.
    """

    def register(function: Metric) -> Metric:
        parameters = inspect.signature(function).parameters.values()
        optional = tuple(
            p.name for p in parameters if p.kind is not p.KEYWORD_ONLY and p.default is not p.empty
        )
        facts = {"better": better, "meaning": meaning, "paper": paper, "range": range, "kept": kept}
        ROW_METRICS.add(function, needs=needs, optional=optional, **facts)
        return function

    return register


def curve_metric(
    *, better: Better, meaning: str, paper: str, range: Range = (0.0, 1.0)
) -> Callable[[CurveMetric], CurveMetric]:
    """Register a metric of training curves: ``(curve at the probed steps, …, *, …) -> float | None``."""

    def register(function: CurveMetric) -> CurveMetric:
        CURVE_METRICS.add(function, better=better, meaning=meaning, paper=paper, range=range)
        return function

    return register


def canonical(metric: str) -> str:
    """Return a row metric as written, without the hyperparameters that have their default.

    Raises:
        UnknownName: There is no such row metric.
        InputError: A hyperparameter is wrong.
    """
    item, bound = ROW_METRICS.resolve(parse_call(metric))
    changed = {k: v for k, v in bound.items() if v != item.hyperparameters[k].default}
    return str(Call(item.name, changed))


def measure(records: Sequence[Record], metric: str) -> list[float | None]:
    """Return one value a row; None where the metric does not apply or a part that it reads is missing."""
    item, hyperparameters = ROW_METRICS.resolve(parse_call(metric))
    values: list[float | None] = []
    for record in records:
        parts = {name: getattr(record, name) for name in item.inputs}
        there = all(parts[n] is not None and parts[n] != () for n in parts if n not in item.facts["optional"])
        value = item.function(*parts.values(), **hyperparameters) if there else None
        values.append(None if value is None else float(value))
    return values
