"""From names of metrics to tables: what has to be measured, and everything made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from forgetwell.calls import parse_call
from forgetwell.errors import InputError, unknown_name
from forgetwell.metrics.registry import CURVE_METRICS, ROW_METRICS, canonical, measure
from forgetwell.metrics.sets import SET_METRICS, SetCall, Whose, is_set_metric, set_call
from forgetwell.registry import Item
from forgetwell.suites.aggregate import Measured, role_results, split_results
from forgetwell.suites.types import Split, Suite
from forgetwell.suites.whole import RowValues, Table, problem, whole_results
from forgetwell.types import Record, Result

METRICS = ("rouge_l_recall", "fact_recall", "answer_prob", "truth_ratio", "refusal", "gibberish")
SET_DEFAULTS = (
    "model_utility",
    "forget_quality",
    "ks_statistic",
    "membership_auc",
    "privleak",
    "trigger_gap",
    "trigger_gap_change",
    "scope_leakage",
    "scope_kept",
)


@dataclass(frozen=True)
class MetricPlan:
    """Row metrics to measure, set metrics to make of them, and why others are left out."""

    rows: tuple[str, ...]
    sets: tuple[SetCall, ...]
    left_out: tuple[str, ...] = ()


class Tables(NamedTuple):
    """All results, and a sentence for each metric that is not among them, or not on some splits."""

    results: tuple[Result, ...]
    left_out: tuple[str, ...]


def plan_metrics(metrics: Sequence[str] | None, suite: Suite, runs: Mapping[Whose, RowValues]) -> MetricPlan:
    """Return what has to be measured for some metrics, or by default.

    Raises:
        UnknownName: There is no such metric.
        InputError: A hyperparameter is wrong, or the suite lacks rows that a set metric reads.
        MissingError: A set metric needs a run that was not given, or that lacks what it reads.
    """
    table = Table(suite.splits, runs=runs)
    if metrics is None:
        calls = [set_call(name) for name in SET_DEFAULTS]
        problems = [problem(call, table) for call in calls]
        fitting = [call for call, found in zip(calls, problems, strict=True) if found is None]
        return MetricPlan(_rows(METRICS, fitting), tuple(fitting), tuple(str(p) for p in problems if p))
    for name in metrics:
        metric_item(name)
    calls = [set_call(name) for name in dict.fromkeys(metrics) if is_set_metric(name)]
    for call in calls:
        if (found := problem(call, table)) is not None:
            raise found
    return MetricPlan(_rows([m for m in metrics if not is_set_metric(m)], calls), tuple(calls))


def metric_item(metric: str) -> Item:
    """Return the row or set metric that a call names.

    Raises:
        UnknownName: There is none.
        InputError: It is a metric of training curves.
    """
    name = parse_call(metric).name
    if name in CURVE_METRICS.names():
        raise InputError(
            f"{name} is a metric of training curves, and an evaluation has none: call it as a function, with "
            "the probes in a run's train.jsonl."
        )
    for family in (ROW_METRICS, SET_METRICS):
        if name in family.names():
            return family.get(name)
    raise unknown_name("metric", name, [*ROW_METRICS.names(), *SET_METRICS.names()])


def tabulate(
    lm: str,
    suite: Suite,
    records: Mapping[str, tuple[Record, ...]],
    plan: MetricPlan,
    runs: Mapping[Whose, RowValues],
    seed: int,
) -> Tables:
    """Return the tables of a plan: every row metric on every split and over roles, then set metrics."""
    results: list[Result] = []
    measured: dict[str, dict[str, Measured]] = {}
    for metric in plan.rows:
        found = [Measured(s, measure(records[s.key], metric)) for s in suite.splits]
        measured[metric] = {m.split.key: m for m in found}
        results += split_results(lm, metric, found, seed)
        results += role_results(lm, metric, found, seed)
    silent = [line for metric, found in measured.items() for line in _silent(metric, list(found.values()))]
    whole = whole_results(lm, plan.sets, Table(suite.splits, measured, runs), seed)
    return Tables((*results, *whole.results), (*plan.left_out, *dict.fromkeys(silent), *whole.left_out))


def _silent(metric: str, measured: Sequence[Measured]) -> list[str]:
    """Say on which splits a row metric has no value at all, and why."""
    empty = [m.split for m in measured if m.skipped == len(m.values)]
    if len(empty) == len(measured):
        return [f"{metric} applies to no row of this suite."]
    item = ROW_METRICS.get(parse_call(metric).name)
    reasons: dict[str, list[str]] = {}
    for split in empty:
        reasons.setdefault(_reason(split, item.inputs), []).append(split.key)
    return [f"{item.name} on {', '.join(keys)}: {reason}." for reason, keys in reasons.items()]


def _reason(split: Split, inputs: Sequence[str]) -> str:
    if not split.scores_choices and {"wrong", "paraphrase"} & set(inputs):
        return "wrong answers and answers in other words aren't scored there"
    if not split.answered and "generated" in inputs:
        return "its questions aren't answered"
    return "it applies to no row"


def _rows(metrics: Sequence[str], calls: Sequence[SetCall]) -> tuple[str, ...]:
    read = [r.metric for call in calls for r in call.reads.values() if r.whose == "own"]
    return tuple(dict.fromkeys([*map(canonical, metrics), *read]))
