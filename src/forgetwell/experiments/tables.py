"""The tables of a plan: each run's numbers, and the claims of each comparison."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from forgetwell.experiments.bench import Bench
from forgetwell.experiments.claims import Run, run_folder
from forgetwell.experiments.plan import Comparison, Plan
from forgetwell.experiments.probing import read_curve
from forgetwell.experiments.reading import END, Claim, read_claims, read_place
from forgetwell.files import write_json, write_jsonl, write_text
from forgetwell.runs.records import is_complete
from forgetwell.suites.probe import RECALL

CELLS = "cells.jsonl"
CLAIMS = "claims.json"
TABLE = "table.md"
LEVELS = (None, 0.4, 0.3, 0.2)


@dataclass(frozen=True)
class RunReading:
    """One run read at one place.

    Attributes:
        comparison: The grid's point.
        condition: Of the run.
        seed: Of the run.
        at: Forget recall at which it was read; ``end`` = after the last step.
        forget: Forget recall there.
        clean: Clean utility, mean of the sets' means.
        trigger: The same with the trigger in every question.
        metric: By which all of it is read.
    """

    comparison: str
    condition: str
    seed: int
    at: str
    forget: float
    clean: float
    trigger: float
    metric: str = RECALL


@dataclass(frozen=True)
class Tables:
    """What a plan's runs show: each run's numbers, and the claims of each comparison."""

    cells: tuple[RunReading, ...]
    claims: Mapping[str, tuple[Claim, ...]]


def write_tables(plan: Plan, benches: Mapping[str, Bench], out: Path) -> Tables:
    """Write cells.jsonl, claims.json and table.md of a plan's finished runs, and return them.

    Args:
        plan: What was run.
        benches: The data of its comparisons; those without are left out.
        out: Folder of the runs.
    """
    claims: dict[str, tuple[Claim, ...]] = {}
    cells: list[RunReading] = []
    for c in plan.comparisons:
        done = [r for r in c.runs if is_complete(run_folder(out / c.name, r))]
        if not done or c.bench not in benches:
            continue
        claims[c.name] = read_claims(
            benches[c.bench], done, out / c.name, per_set=c.setup.per_set, trigger=c.setup.trigger
        )
        cells += [cell for run in done for cell in read_cells(c, run, out / c.name)]
    write_jsonl(out / CELLS, cells)
    write_claims(cells, claims, out)
    return Tables(tuple(cells), claims)


def write_claims(cells: Sequence[RunReading], claims: Mapping[str, Sequence[Claim]], out: Path) -> None:
    """Write claims.json, and table.md, which shows the cells too."""
    write_json(out / CLAIMS, {k: [asdict(c) for c in v] for k, v in claims.items()})
    write_text(out / TABLE, f"{cells_table(cells)}\n{claims_table(claims)}")


def read_cells(comparison: Comparison, run: Run, out: Path) -> Iterator[RunReading]:
    """Give a finished run at the end and at each level of forgetting that it reached."""
    curve = read_curve(run_folder(out, run))
    for level in LEVELS:
        place = read_place(curve, level)
        if place is not None:
            at = END if level is None else f"{level:g}"
            clean, trigger = (macro_utility(place.utility, kind) for kind in ("clean", "trigger"))
            numbers = (place.forget, clean, trigger, comparison.setup.read_by)
            yield RunReading(comparison.name, run.condition, run.seed, at, *numbers)


def macro_utility(utility: Mapping[str, Mapping[str, float]], kind: str) -> float:
    """Return the mean over utility sets of their mean recall, ``clean`` or ``trigger``."""
    sets = [rows for key, rows in utility.items() if key.endswith(f"/{kind}")]
    return statistics.fmean(statistics.fmean(rows.values()) for rows in sets)


def grouped(cells: Sequence[RunReading]) -> dict[tuple[str, str, str], list[RunReading]]:
    """Return the cells of all seeds by comparison, condition and place."""
    groups: dict[tuple[str, str, str], list[RunReading]] = {}
    for cell in cells:
        groups.setdefault((cell.comparison, cell.condition, cell.at), []).append(cell)
    return groups


def cells_table(cells: Sequence[RunReading]) -> str:
    """Return means over seeds, with standard deviations where there are several, as Markdown."""
    read_by = dict.fromkeys(c.metric for c in cells)
    lines = [
        *([f"Read by {', '.join(read_by)}.\n"] if set(read_by) - {RECALL} else []),
        "| comparison | condition | read at | forget | clean | trigger | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for (comparison, condition, at), group in grouped(cells).items():
        numbers = [_spread([getattr(c, name) for c in group]) for name in ("forget", "clean", "trigger")]
        lines.append(f"| {comparison} | {condition} | {at} | {' | '.join(numbers)} | {len(group)} |")
    return "\n".join(lines) + "\n"


def _spread(values: Sequence[float]) -> str:
    mean = f"{statistics.fmean(values):.3f}"
    return f"{mean} ± {statistics.stdev(values):.3f}" if len(values) > 1 else mean


def claims_table(claims: Mapping[str, Sequence[Claim]]) -> str:
    """Return claims as Markdown, one table a comparison."""
    parts = []
    for name, found in claims.items():
        lines = [
            f"## {name}\n",
            "| forget recall at | what | value | 95 % interval | n | seeds | of each seed |",
            "|---|---|---|---|---|---|---|",
        ]
        for c in found:
            i, seeds = c.interval, ", ".join(map(str, c.seeds))
            each = ", ".join(f"{value:.3f}" for value in c.by_seed)
            value, interval = f"{i.value:.3f}", f"{i.low:.3f} … {i.high:.3f}"
            lines.append(f"| {c.at} | {c.name} | {value} | {interval} | {i.n} | {seeds} | {each} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"
