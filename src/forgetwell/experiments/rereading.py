"""A plan's runs read by another metric: every answer was kept, so that nothing is run again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError, MissingError
from forgetwell.experiments.bench import Bench
from forgetwell.experiments.claims import Run, questions_of, run_folder
from forgetwell.experiments.grid import check_finished, make_benches
from forgetwell.experiments.page import write_page
from forgetwell.experiments.parts import WHOLE, Part, cut
from forgetwell.experiments.plan import Comparison, Plan, metric_of_answers
from forgetwell.experiments.probing import ANSWERS, Questions, measured_values, read_curve
from forgetwell.experiments.reuse import find_finished
from forgetwell.experiments.stages import Say
from forgetwell.experiments.tables import Tables, write_tables
from forgetwell.files import read_jsonl, write_json, write_jsonl
from forgetwell.metrics.registry import measure
from forgetwell.runs.folder import CURVE, MANIFEST, read_manifest
from forgetwell.runs.records import is_complete
from forgetwell.suites.probe import Said
from forgetwell.types import Generation, Record, Row

Answers = Mapping[int, Mapping[str, Mapping[str, str]]]  # step -> split -> id


def reread_plan(
    plan: Plan,
    runs: Path,
    out: Path,
    metric: str,
    *,
    say: Say,
    part: Part = WHOLE,
) -> Tables:
    """Read what finished runs answered by another metric, and write curves, tables and report of that.

    Where a run stopped and when utility was asked stay as they were, by the plan's own metric: levels of
    forgetting are levels by the new one, and below the plan's floor there may be no run to read.

    Args:
        plan: What was run.
        runs: Folder of the runs; stays as it is.
        out: Folder for the new curves, tables and report; what is there of an earlier reading is replaced.
        metric: A metric of greedy answers, as ``fact_recall``.
        say: Takes one line for the person who watches.
        part: What of it to read.

    Raises:
        InputError: It is no metric of answers, applies to no row of a set, or an answer is of no question; or
            finished runs are of other settings than the plan's.
        MissingError: No data is here, no run is done, or one kept no answers (it is of 2026-11-28 or before).
    """
    metric_of_answers(metric)
    found = cut(plan, part)
    read = replace(
        found,
        comparisons=tuple(replace(c, setup=replace(c.setup, metric=metric)) for c in found.comparisons),
    )
    benches = make_benches(read, read, say)
    check_finished(found, benches, runs, find_finished(()))
    done = 0
    for c in read.comparisons:
        for run in c.runs:
            if c.bench in benches and is_complete(run_folder(runs / c.name, run)):
                _reread(c, run, benches[c.bench], runs, out)
                done += 1
    if not done:
        raise MissingError(f"{runs} holds no finished run of {plan.name}. Run it first, or check --out.")
    say(f"{done} runs read by {metric}.")
    tables = write_tables(read, benches, out)
    write_page(read, tables, out)
    return tables


def _reread(comparison: Comparison, run: Run, bench: Bench, runs: Path, out: Path) -> None:
    old, new = (run_folder(folder / comparison.name, run) for folder in (runs, out))
    if not (old / ANSWERS).is_file():
        raise MissingError(
            f"{old} kept no answers: it is older than {ANSWERS}. Run it again to read it anew."
        )
    curve = reread_curve(read_curve(old), _answers(old), questions_of(bench, comparison.setup, run.seed))
    write_jsonl(new / CURVE, curve)
    write_json(new / MANIFEST, {**read_manifest(old), "metric": comparison.setup.metric})


def reread_curve(
    curve: Sequence[Mapping[str, Any]], answers: Answers, questions: Questions
) -> list[dict[str, Any]]:
    """Return a curve with the values that a metric gives to the answers at each checkpoint.

    Raises:
        InputError: The metric applies to no row of a set, or an answer is of no question.
    """
    rows = {
        key: {row.id: row for row in asked}
        for key, asked in {"forget": questions.forget, **questions.utility}.items()
    }
    new = []
    for point in curve:
        said = answers[point["step"]]
        values = {
            key: measured_values(_said(rows.get(key, {}), own, questions.metric), key, questions.metric)
            for key, own in said.items()
        }
        left = values.pop("forget")
        new.append({**point, "forget": left, **({"utility": values} if values else {})})
    return new


def _said(rows: Mapping[str, Row], answers: Mapping[str, str], metric: str) -> dict[str, Said]:
    unknown = sorted(answers.keys() - rows.keys())
    if unknown:
        raise InputError(f"An answer is kept of {unknown[0]}, which this plan doesn't ask: was it changed?")
    records = [Record(rows[i], generated=Generation(text, 0, finished=True)) for i, text in answers.items()]
    values = measure(records, metric)
    return {i: Said(text, value) for (i, text), value in zip(answers.items(), values, strict=True)}


def _answers(folder: Path) -> Answers:
    found: defaultdict[int, defaultdict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for line in read_jsonl(folder / ANSWERS):
        found[line["step"]][line["split"]][line["id"]] = line["answer"]
    return found
