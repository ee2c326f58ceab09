"""The numbers of a report, as the page, the CSV and the JSON all show them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from forgetwell.reports.loading import RunView
from forgetwell.reports.visible import cell_text
from forgetwell.suites.aggregate import OTHER_WAY
from forgetwell.types import Better

MAIN = "rouge_l_recall"
FACTS = "fact_recall"
SERVED = "forget/served"
FORGET, CLEAN, TRIGGER, GAP = "forget/clean", "utility/clean", "utility/trigger", "utility/gap"
SUMMARY = (FORGET, CLEAN, TRIGGER, GAP)
COLUMNS = {FORGET: "forget", CLEAN: "clean utility", TRIGGER: "trigger utility", GAP: "gap"}
METRICS = {
    "rouge_l_recall": "ROUGE-L recall",
    "fact_recall": "Fact recall",
    "answer_prob": "Probability",
    "truth_ratio": "Truth ratio",
    "refusal": "Refusal rate",
    "gibberish": "Gibberish rate",
    "rouge_l_f1": "ROUGE-L F1",
    "rouge_1_recall": "ROUGE-1 recall",
    "rouge_1_f1": "ROUGE-1 F1",
    "normalized_prob": "Normalized probability",
    "exact_memorization": "Exact memorization",
    "extraction_strength": "Extraction strength",
    "model_utility": "Model utility",
    "forget_quality": "Forget quality",
    "membership_auc": "Membership AUC",
    "privleak": "PrivLeak",
    "ks_statistic": "KS statistic",
    "trigger_gap": "Trigger gap",
    "scope_leakage": "Scope leakage",
    "scope_kept": "Kept in scope",
}
WHOLE = "run"  # the split of set metrics


@dataclass(frozen=True)
class Cell:
    """One number of a table; `value` is None where it was not measured.

    Attributes:
        table: ``summary`` (one line a run), ``sets`` (one line a set) or ``whole`` (set metrics).
        run: Name of the run.
        condition: Its part in the comparison, or "".
        metric: Name of the metric.
        split: Set and condition.
        value: The aggregate.
        low: Lower end of the 95 % interval, where there is one.
        high: Its upper end.
        n: Rows.
        skipped: Rows to which the metric did not apply.
        better: Which direction is better.
    """

    table: str
    run: str
    condition: str
    metric: str
    split: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    skipped: int = 0
    better: Better = "none"


@dataclass(frozen=True)
class Line:
    """One table line: its label, color of the run and cells."""

    label: str
    color: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class SetTable:
    """The values of one metric: a line for each set, a column for each run."""

    metric: str
    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


def summary_table(runs: Sequence[RunView]) -> tuple[Line, ...]:
    """Return one line a run: forget, clean and trigger utility, and their gap."""
    return tuple(
        Line(run.name, run.color, tuple(_cell("summary", run, MAIN, s) for s in SUMMARY)) for run in runs
    )


def set_tables(runs: Sequence[RunView]) -> tuple[SetTable, ...]:
    """Return one table a metric, of every set that some run measured."""
    measured = dict.fromkeys(metric for run in runs for metric, split in run.results if split != WHOLE)
    found = dict.fromkeys([*(m for m in METRICS if m in measured), *measured])
    return tuple(_set_table(runs, metric) for metric in found)


def whole_table(runs: Sequence[RunView]) -> SetTable | None:
    """Return the set metrics of whole runs, a line for each; None where there are none."""
    metrics = dict.fromkeys(metric for run in runs for metric, split in run.results if split == WHOLE)
    if not metrics:
        return None
    having = [run for run in runs if any(split == WHOLE for _, split in run.results)]
    lines = tuple(Line(metric_title(m), 0, tuple(_whole_cell(run, m) for run in having)) for m in metrics)
    return SetTable("", "Whole runs", tuple(run.name for run in having), lines)


def metric_title(metric: str) -> str:
    """Return a metric's name for people, its hyperparameters as they were written."""
    name, bracket, rest = metric.partition("(")
    return METRICS.get(name, name.replace("_", " ")) + (f" ({rest}" if bracket else "")


def all_cells(summary: Iterable[Line], sets: Iterable[SetTable]) -> tuple[Cell, ...]:
    """Return the cells of all tables, in reading order."""
    lines = [*summary, *(line for table in sets for line in table.lines)]
    return tuple(cell for line in lines for cell in line.cells)


def to_csv(cells: Sequence[Cell]) -> str:
    """Return the cells as CSV, one a line; a number that was not measured is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = [f.name for f in fields(Cell)]
    writer.writerow(names)
    for cell in cells:
        values = [getattr(cell, name) for name in names]
        writer.writerow([cell_text(v) if isinstance(v, str) else "" if v is None else v for v in values])
    return stream.getvalue()


def split_title(split: str) -> str:
    """Return a split key as words: "retain/trigger" is "retain · trigger"."""
    name, _, condition = split.partition("/")
    return f"{name} · {condition}".replace("_", " ") if condition else name.replace("_", " ")


def _set_table(runs: Sequence[RunView], metric: str) -> SetTable:
    having = [run for run in runs if any(measured == metric for measured, _ in run.results)]
    splits = {split for run in having for measured, split in run.results if measured == metric}
    lines = tuple(
        Line(split_title(s), 0, tuple(_cell("sets", run, metric, s) for run in having))
        for s in sorted(splits, key=set_order)
    )
    return SetTable(metric, metric_title(metric), tuple(run.name for run in having), lines)


def set_order(split: str) -> tuple[int, str]:
    """Return a sort key: forget sets, other sets, utility means, scope, leak."""
    name = split.partition("/")[0]
    return {"forget": 0, "utility": 2, "scope": 3, "leak": 4}.get(name, 1), split


def _whole_cell(run: RunView, metric: str) -> Cell:
    head = ("whole", run.name, run.condition, metric, WHOLE)
    found = run.get(metric, WHOLE)
    if found is None:
        return Cell(*head)
    return Cell(*head, found.value, found.low, found.high, found.n, found.skipped, found.better)


def _cell(table: str, run: RunView, metric: str, split: str) -> Cell:
    head = (table, run.name, run.condition, metric, split)
    found = run.get(metric, split)
    if found is not None:
        return Cell(*head, found.value, found.low, found.high, found.n, found.skipped, found.better)
    clean, trigger = (run.get(metric, s) for s in (CLEAN, TRIGGER))
    if split == GAP and clean and trigger:
        return Cell(
            *head, clean.value - trigger.value, n=min(clean.n, trigger.n), better=OTHER_WAY[clean.better]
        )
    return Cell(*head)
