"""Contracts of set and curve metrics, tried on values at the ends of their ranges and between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from forgetwell.calls import parse_call
from forgetwell.contracts.trying import out_of_range, same_values, says_what_it_means
from forgetwell.metrics.registry import ROW_METRICS
from forgetwell.metrics.sets import Read, set_call
from forgetwell.metrics.statistics import Floats
from forgetwell.registry import Item

_WIDTH = 1.0  # of a range that has an end at most: values far out are no values of some variants
_ROWS = (1, 2, 8)
# What share of the way through its range a value has: that of row i, of the parameter at place k.
_SHARES: Mapping[str, Callable[[int, int], float]] = {
    "values all lowest": lambda i, k: 0.0,
    "values all highest": lambda i, k: 1.0,
    "values lowest and highest in turn by parameter": lambda i, k: float(k % 2),
    "values highest and lowest in turn by parameter": lambda i, k: float((k + 1) % 2),
    "mixed values": lambda i, k: (0.37 * i + 0.21 * k) % 1,
}
_CURVES = ((0.9, 0.6, 0.3, 0.0), (0.9, 0.9, 0.9), (0.2,), (0.1, 0.8))


def says_what_it_reads(item: Item) -> str:
    """Each parameter has its `Read`, in their order."""
    reads = tuple(item.facts["reads"])
    return "" if reads == item.inputs else f"Its parameters are {item.inputs}, and `reads` has {reads}."


def set_values_in_range(item: Item) -> str:
    """Values are finite and in the range of its decorator."""
    for told, parts in _set_parts(item):
        if problem := out_of_range(_value(item, parts), item.facts["range"]):
            return f"{problem} for {told}."
    return ""


def set_values_repeat(item: Item) -> str:
    """The same values of rows give the same value."""
    once, again = ([_value(item, parts) for _, parts in _set_parts(item)] for _ in range(2))
    return "" if same_values(once, again) else "Two calls differ."


def curve_values_in_range(item: Item) -> str:
    """Values are finite and in the range of its decorator, or None where it doesn't apply."""
    for curve, value in zip(_CURVES, _curve_values(item), strict=True):
        if value is not None and (problem := out_of_range(value, item.facts["range"])):
            return f"{problem} for curves as {curve}."
    return ""


def curve_values_repeat(item: Item) -> str:
    """The same curves give the same value, and some curve has one."""
    once, again = _curve_values(item), _curve_values(item)
    if not same_values(once, again):
        return "Two calls differ."
    return "" if any(v is not None for v in once) else "It returned None for each of them."


def curves_are_left(item: Item) -> str:
    """The curves that it is given are unchanged."""
    for curve in _CURVES:
        given = [list(curve) for _ in item.inputs]
        item.function(*given, **item.bind({}))
        if any(values != list(curve) for values in given):
            return f"It changed {list(curve)} in place; write sorted(curve), not curve.sort()."
    return ""


SET_METRIC_CONTRACTS: Sequence[Callable[[Item], str]] = (
    says_what_it_means,
    says_what_it_reads,
    set_values_in_range,
    set_values_repeat,
)
CURVE_METRIC_CONTRACTS: Sequence[Callable[[Item], str]] = (
    says_what_it_means,
    curve_values_in_range,
    curve_values_repeat,
    curves_are_left,
)


def _set_parts(item: Item) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give what a set metric reads, with and without what is optional; each in words."""
    reads = set_call(item.name).reads
    needed = {name: read for name, read in reads.items() if not read.optional}
    for chosen in (reads, needed) if needed != reads else (reads,):
        for told, share in _SHARES.items():
            for rows in _ROWS:
                parts = {name: _part(read, rows, k, share) for k, (name, read) in enumerate(chosen.items())}
                yield f"{told}, {rows} rows a set", parts


def _part(
    read: Read, rows: int, place: int, share: Callable[[int, int], float]
) -> Floats | tuple[Floats, ...]:
    low, high = ROW_METRICS.get(parse_call(read.metric).name).facts["range"]
    bottom = low if low is not None else 0.0 if high is None else high - _WIDTH
    top = high if high is not None else bottom + _WIDTH

    def values(first: int) -> Floats:
        found = np.array([bottom + share(first + i, place) * (top - bottom) for i in range(rows)])
        found.flags.writeable = False  # the values are others' too
        return found

    return (values(0), values(1)) if read.each else values(0)


def _value(item: Item, parts: Mapping[str, Any]) -> float:
    return float(item.function(**parts, **item.bind({})))


def _curve_values(item: Item) -> list[float | None]:
    return [item.function(*[list(curve) for _ in item.inputs], **item.bind({})) for curve in _CURVES]
