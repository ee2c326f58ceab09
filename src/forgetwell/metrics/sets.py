"""The family of set metrics: pure functions of row values, one number for a whole run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from forgetwell.calls import parse_call
from forgetwell.metrics.registry import Range, canonical
from forgetwell.metrics.statistics import Floats
from forgetwell.registry import Family
from forgetwell.types import Better

Whose = Literal["own", "reference", "baseline"]
Metric = TypeVar("Metric", bound=Callable[..., float])

SET_METRICS = Family("set metric", "forgetwell.metrics")


@dataclass(frozen=True, slots=True)
class Read:
    """The row values that one parameter of a set metric gets.

    Attributes:
        metric: The row metric; ``{name}`` stands for a hyperparameter of the set metric.
        split: A split key as "leak/forget_first", or role and condition as "utility/clean", which names every
            split of that role asked so.
        whose: The run measured; the reference (a model retrained without the forget rows); or the
            baseline (the model before unlearning).
        each: One array a split, as a tuple, instead of one array of all rows.
        optional: The parameter gets its default where the run was not given.
    """

    metric: str
    split: str
    whose: Whose = "own"
    each: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One row metric on one split: the values that there are, in the order of the rows.

    Attributes:
        split: Key of the split.
        values: (n,).
        rows: What each row was made from: its id without the number of its template.
        clusters: What each row belongs to in resampling.
        skipped: Rows to which the metric did not apply.
    """

    split: str
    values: Floats
    rows: tuple[str, ...]
    clusters: tuple[str, ...]
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class SetCall:
    """A set metric with its hyperparameters, ready to be computed."""

    text: str
    function: Callable[..., float]
    arguments: Mapping[str, Any]
    reads: Mapping[str, Read]
    facts: Mapping[str, Any]


def set_metric(
    *,
    better: Better,
    meaning: str,
    paper: str,
    reads: Mapping[str, Read],
    range: Range = (0.0, 1.0),
    interval: bool = True,
) -> Callable[[Metric], Metric]:
    """Register a set metric; `reads` says which row values each positional parameter gets.

    Args:
        better: Which direction is better; "none" where the best value lies between.
        meaning: One plain sentence.
        paper: arXiv id of its source.
        reads: By name of the parameter.
        range: Lowest and highest value; None = unbounded.
        interval: Whether resampling rows gives it a meaningful interval.
    """

    def register(function: Metric) -> Metric:
        facts = {"better": better, "meaning": meaning, "paper": paper, "range": range}
        SET_METRICS.add(function, reads=reads, interval=interval, **facts)
        return function

    return register


def set_call(text: str) -> SetCall:
    """Return a set metric as it was written, its reads with the hyperparameters filled in.

    Raises:
        UnknownName: There is no such set metric, or a row metric that it would read is unknown.
        InputError: A hyperparameter is wrong.
    """
    item, arguments = SET_METRICS.resolve(parse_call(text))
    reads = {name: _filled(item.facts["reads"][name], arguments) for name in item.inputs}
    return SetCall(text, item.function, arguments, reads, item.facts)


def is_set_metric(text: str) -> bool:
    """Say whether a metric as written is a set metric."""
    return parse_call(text).name in SET_METRICS.names()


def _filled(read: Read, arguments: Mapping[str, Any]) -> Read:
    metric = canonical(read.metric.format_map(arguments))
    return replace(read, metric=metric, split=read.split.format_map(arguments))
