"""A short measurement during training: means over three small sets at a step."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from forgetwell.errors import InputError
from forgetwell.metrics.registry import measure
from forgetwell.metrics.sets import is_set_metric
from forgetwell.models.lm import LM
from forgetwell.requests.attacks import before_attack
from forgetwell.requests.template_sets import load_templates, trigger_rows
from forgetwell.suites.evaluate import evaluate_suite
from forgetwell.suites.types import Split, Suite
from forgetwell.types import Record, Request, Row

RECALL = "rouge_l_recall"
PROBED = ("forget", "utility", "trigger")
_KEPT = 8  # rows to keep that are asked


class Said(NamedTuple):
    """A greedy answer, with a metric of it; None where the metric doesn't apply to the row."""

    answer: str
    value: float | None


def make_probe(
    forget: Sequence[Row],
    clean: Sequence[Row],
    trigger: Sequence[Row],
    *,
    metrics: Sequence[str] = (RECALL,),
    max_new_tokens: int = 32,
) -> Callable[[LM, int], dict[str, float]]:
    """Return a probe of forgetting, clean utility and benign-trigger utility.

    Its keys are ``forget.``, ``utility.`` and ``trigger.`` with the name of each metric, as
    ``forget.rouge_l_recall``; each value is a plain mean over the rows to which the metric applies.

    Args:
        forget: Rows to forget.
        clean: Rows to keep, as they are.
        trigger: Rows to keep, with the trigger.
        metrics: Row metrics.
        max_new_tokens: Length at which every greedy answer is cut.

    Raises:
        InputError: A set is empty, or a metric is a set metric.

    Source: 2506.00359, figure 1.
    """
    for name, rows in zip(PROBED, (forget, clean, trigger), strict=True):
        if not rows:
            raise InputError(f"The probe's {name} set has no rows; give at least one.")
    for metric in metrics:
        if is_set_metric(metric):
            raise InputError(f"{metric} is a set metric; a probe measures row metrics, as {RECALL}.")
    splits = (
        Split("forget", "forget", "clean", tuple(forget)),
        Split("utility", "utility", "clean", tuple(clean)),
        Split("trigger", "utility", "trigger", tuple(trigger)),
    )
    suite = Suite("probe", splits, max_new_tokens)

    def probe(lm: LM, step: int) -> dict[str, float]:
        found = {(r.split, r.metric): r.value for r in evaluate_suite(lm, suite, metrics=metrics).results}
        measured = ((s, m) for m in metrics for s in splits if (s.key, m) in found)
        return {f"{split.name}.{metric}": found[split.key, metric] for split, metric in measured}

    return probe


def check_asked(forget: Sequence[Row], kept: Sequence[Row]) -> None:
    """Refuse rows of which a probe could ask nothing.

    Raises:
        InputError: Either has no questions: plain text can't be asked.
    """
    advice = {
        "forget": "Leave out the probe and the rules that read it (stop_at, keep_best); evaluate afterwards",
        "keep": "Give questions to keep that it asks (probe)",
    }
    for what, rows in (("forget", forget), ("keep", kept)):
        if all(row.text for row in rows):
            raise InputError(
                f"The probe asks questions, and the {len(rows)} rows to {what} hold none: plain text can't "
                f"be asked. {advice[what]}."
            )


def request_probe(
    request: Request,
    kept: Sequence[Row],
    *,
    metrics: Sequence[str] = (RECALL,),
    forget_rows: int = 24,
    seed: int = 0,
) -> Callable[[LM, int], dict[str, float]]:
    """Return a probe on some forget rows, and on some rows to keep, clean and in every template.

    More forget rows are asked, since stop rules read them: 8 say too little of whether 24 are forgotten.

    Forget rows that an attack reworded are asked as they were before it (`before_attack`).

    Args:
        request: The request, attacked or not.
        kept: Rows to keep; 8 of them are asked, clean and in every template.
        metrics: Row metrics.
        forget_rows: Forget rows at most.
        seed: Of the sample.

    Raises:
        InputError: Either has no questions (plain text can't be asked).
    """
    check_asked(request.rows, kept)
    stream = random.Random(seed)
    honest = [before_attack(row) for row in request.rows]
    asked = [[row for row in group if not row.text] for group in (honest, kept)]
    forget, clean = (
        stream.sample(group, min(most, len(group)))
        for group, most in zip(asked, (forget_rows, _KEPT), strict=True)
    )
    trigger = trigger_rows(clean, load_templates("tofu"))
    return make_probe(forget, clean, trigger, metrics=metrics)


def recalls(lm: LM, rows: Sequence[Row], *, max_new_tokens: int) -> list[float]:
    """Return the ROUGE-L recall of the model's greedy answer to each row; 0 … 1."""
    return [said.value or 0.0 for said in answered(lm, rows, RECALL, max_new_tokens=max_new_tokens)]


def answered(lm: LM, rows: Sequence[Row], metric: str, *, max_new_tokens: int) -> list[Said]:
    """Return the model's greedy answer to each row, with a metric of it."""
    said = lm.generate(rows, max_new_tokens=max_new_tokens)
    records = [Record(row, generated=g) for row, g in zip(rows, said, strict=True)]
    return [Said(g.text, value) for g, value in zip(said, measure(records, metric), strict=True)]


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean."""
    return sum(values) / len(values)
