"""What contracts of several families share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar, get_args

from forgetwell.errors import InputError
from forgetwell.metrics.registry import Range
from forgetwell.registry import Item
from forgetwell.types import Better

Given = TypeVar("Given")
Made = TypeVar("Made")


def out_of_range(value: float, range_: Range) -> str:
    """Say what a value breaks: being finite, or the range of its decorator; "" = neither."""
    low, high = range_
    outside = (low is not None and value < low) or (high is not None and value > high + 1e-9)
    if math.isfinite(value) and not outside:
        return ""
    return f"Its range is {low} to {high}, and it returned {value}"


def says_what_it_means(item: Item) -> str:
    """Its decorator says in a sentence what values mean, which are better, and their lowest and highest."""
    meaning, range_ = item.facts["meaning"], item.facts["range"]
    for key in ("better", "kept"):  # of row metrics alone: on rows to keep
        if (way := item.facts.get(key, "none")) not in get_args(Better):
            return f"{key}={way!r}; it is one of {', '.join(map(repr, get_args(Better)))}."
    if len(range_) != 2 or (None not in range_ and not range_[0] < range_[1]):
        return f"range={range_}; it holds the lowest and the highest value, None = unbounded."
    return "" if meaning.endswith(".") else f"meaning={meaning!r}; it is a sentence, with its full stop."


def same_values(once: Sequence[float | None], again: Sequence[float | None]) -> bool:
    """Say whether two calls gave the same values; NaN, which another contract names, is as NaN."""
    return repr(list(once)) == repr(list(again))


def accepted(make: Callable[[Given], Made], cases: Iterable[Given]) -> Iterator[tuple[Given, Made]]:
    """Give each case with what is made of it; one that the item says it isn't for is left out.

    Raises:
        InputError: It is for none.
    """
    refused: InputError | None = None
    done = 0
    for case in cases:
        try:
            made = make(case)
        except InputError as error:
            refused = error
            continue
        done += 1
        yield case, made
    if refused is not None and not done:
        raise refused
