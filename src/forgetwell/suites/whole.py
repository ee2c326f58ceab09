"""Set metrics of a run: which row values they read, what is missing for them, and their intervals."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgetwell.errors import ForgetwellError, InputError, MissingError
from forgetwell.metrics.sets import Column, Read, SetCall, Whose
from forgetwell.metrics.statistics import Floats, widened
from forgetwell.suites.aggregate import Measured
from forgetwell.suites.types import Split
from forgetwell.types import Result

RESAMPLES = 1000
_APART = 200  # of one set alone, for its part of the variance
RowValues = Mapping[tuple[str, str], Mapping[str, float | None]]
"""Values of an earlier run: by (metric, split), then by id of the row."""

_ABOUT: Mapping[Whose, str] = {
    "reference": "the evaluation of a model trained without the forget rows (--reference FOLDER)",
    "baseline": "the evaluation of the model before unlearning (--baseline FOLDER)",
}


@dataclass(frozen=True)
class Table:
    """Everything that set metrics can read.

    Attributes:
        measured: Row metrics by name, then by split key.
        splits: The suite's splits.
        runs: Earlier runs on the same rows.
    """

    splits: Sequence[Split]
    measured: Mapping[str, Mapping[str, Measured]] = field(default_factory=dict)
    runs: Mapping[Whose, RowValues] = field(default_factory=dict)


@dataclass(frozen=True)
class Whole:
    """The set metrics of a run, and a sentence for each that could not be computed."""

    results: tuple[Result, ...]
    left_out: tuple[str, ...]


def problem(call: SetCall, table: Table) -> ForgetwellError | None:
    """Return the error of computing a set metric on a suite, or None where nothing is missing."""
    for read in call.reads.values():
        if read.whose != "own" and read.whose not in table.runs:
            if not read.optional:
                return MissingError(f"{call.text} needs {_ABOUT[read.whose]}.")
            continue
        found = _chosen(read, table.splits)
        if not found:
            have = ", ".join(s.key for s in table.splits)
            wanted = read.split.replace("others/", "utility sets besides retain, ")
            return InputError(f"{call.text} needs rows of {wanted}; this suite has {have}.")
        lacking = _lacking(call, read, table, found) if read.whose != "own" else None
        if lacking:
            return lacking
    return None


def whole_results(lm: str, calls: Sequence[SetCall], table: Table, seed: int) -> Whole:
    """Compute set metrics that have no `problem`, each with a 95 % interval where that means something."""
    results, left_out = [], []
    for call in calls:
        columns = dict(_columns(call, table))
        empty = [c.split for part in columns.values() for c in part if not len(c.values)]
        if empty:
            left_out.append(f"{call.text} applies to no row of {', '.join(dict.fromkeys(empty))}.")
        else:
            results.append(_result(lm, call, columns, seed))
    return Whole(tuple(results), tuple(left_out))


def _chosen(read: Read, splits: Sequence[Split]) -> list[Split]:
    """Return the splits that a read names: one by its key, or all of a role under a condition."""
    exact = [s for s in splits if s.key == read.split]
    if exact:
        return exact
    role, _, condition = read.split.partition("/")
    wanted = "utility" if role == "others" else role
    found = [s for s in splits if s.role == wanted and s.condition == condition]
    return [s for s in found if s.name != "retain"] if role == "others" else found


def _lacking(call: SetCall, read: Read, table: Table, splits: Sequence[Split]) -> ForgetwellError | None:
    run = table.runs[read.whose]
    for split in splits:
        known = run.get((read.metric, split.key))
        if known is None:
            return MissingError(
                f"{call.text} needs {read.metric} on {split.key} of {_ABOUT[read.whose]}; that run did not "
                f"measure it. Evaluate it again with --metrics {read.metric}."
            )
        if known.keys() != {r.id for r in split.rows}:
            return InputError(f"{call.text}: {_ABOUT[read.whose]} has other rows of {split.key}.")
    return None


def _columns(call: SetCall, table: Table) -> Iterator[tuple[str, tuple[Column, ...]]]:
    for name, read in call.reads.items():
        if read.whose != "own" and read.whose not in table.runs:
            continue  # optional: the parameter has a default
        splits = _chosen(read, table.splits)
        yield name, tuple(_column(read, split, table) for split in splits)


def _column(read: Read, split: Split, table: Table) -> Column:
    if read.whose == "own":
        return table.measured[read.metric][split.key].column()
    known = table.runs[read.whose][read.metric, split.key]
    return Measured(split, [known[row.id] for row in split.rows]).column()


def _result(lm: str, call: SetCall, columns: Mapping[str, tuple[Column, ...]], seed: int) -> Result:
    arrays = {name: [c.values for c in part] for name, part in columns.items()}
    value = _compute(call, arrays)
    low, high = _interval(call, columns, seed, value) if call.facts["interval"] else (None, None)
    own = [c for name, part in columns.items() if call.reads[name].whose == "own" for c in part]
    first = {c.split: c for c in own}
    n, skipped = sum(len(c.values) for c in first.values()), sum(c.skipped for c in first.values())
    return Result(lm, call.text, "run", value, low, high, n, call.facts["better"], skipped)


def _compute(call: SetCall, arrays: Mapping[str, Sequence[Floats]]) -> float:
    parts: dict[str, Any] = {
        name: tuple(found) if call.reads[name].each else np.concatenate(found)
        for name, found in arrays.items()
    }
    return float(call.function(**parts, **call.arguments))


def _interval(
    call: SetCall, columns: Mapping[str, tuple[Column, ...]], seed: int, value: float
) -> tuple[float | None, float | None]:
    """Return the interval over clusters drawn with replacement, `widened` for few of them.

    One draw a set serves all its conditions and all runs, so that differences are paired. It ends where the
    metric's range does.
    """
    stream = np.random.default_rng(seed)
    universe = _universe([c for part in columns.values() for c in part])
    placed = {
        name: [(c.values, _set(c), universe[_set(c)].places(c)) for c in part]
        for name, part in columns.items()
    }

    def drawn(sets: Collection[str], times: int) -> Floats:
        found = [value]
        for _ in range(times):
            counts = {s: u.draw(stream) if s in sets else u.whole for s, u in universe.items()}
            arrays = {
                name: [np.repeat(values, counts[s][places]) for values, s, places in part]
                for name, part in placed.items()
            }
            if all(len(a) for part in arrays.values() for a in part):
                found.append(_compute(call, arrays))
        return np.array(found)

    together = drawn(universe, RESAMPLES)
    if len(together) == 1:
        return None, None
    apart = [drawn((s,), _APART) for s in universe] if len(universe) > 1 else [together]
    interval = widened(together, apart, [len(u.numbers) for u in universe.values()], 0)
    lowest, highest = call.facts["range"]
    return max(interval.low, _or(lowest, -math.inf)), min(interval.high, _or(highest, math.inf))


def _or(end: float | None, otherwise: float) -> float:
    return otherwise if end is None else end


@dataclass(frozen=True)
class _Drawn:
    """What is drawn of a set: the numbers of its clusters, or, where all rows belong to one, of its rows."""

    numbers: Mapping[str, int]
    by_row: bool

    @property
    def whole(self) -> NDArray[np.int64]:
        """Each of them once."""
        return np.ones(len(self.numbers), dtype=np.int64)

    def draw(self, stream: np.random.Generator) -> NDArray[np.int64]:
        """Return how often each comes, as many drawn with replacement as there are."""
        count = len(self.numbers)
        return np.bincount(stream.integers(0, count, count), minlength=count)

    def places(self, column: Column) -> NDArray[np.int64]:
        """Return the number that each value of a column is drawn by."""
        keys = column.rows if self.by_row else column.clusters
        return np.array([self.numbers[k] for k in keys], dtype=np.int64)


def _universe(columns: Sequence[Column]) -> dict[str, _Drawn]:
    found: dict[str, _Drawn] = {}
    for name in dict.fromkeys(map(_set, columns)):
        own = [c for c in columns if _set(c) == name]
        clusters = dict.fromkeys(k for c in own for k in c.clusters)
        by_row = len(clusters) == 1
        keys = dict.fromkeys(k for c in own for k in c.rows) if by_row else clusters
        found[name] = _Drawn({key: i for i, key in enumerate(keys)}, by_row)
    return found


def _set(column: Column) -> str:
    return column.split.partition("/")[0]
