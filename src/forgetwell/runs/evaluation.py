"""Evaluation to a folder: results, answers and records as JSON Lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError, MissingError
from forgetwell.files import digest, file_sha256, sha256
from forgetwell.metrics.sets import Whose
from forgetwell.models.hardware import type_name
from forgetwell.models.lm import HFModel, load
from forgetwell.models.processes import started_processes
from forgetwell.registry import own_code
from forgetwell.runs import redaction
from forgetwell.runs.folder import (
    MANIFEST,
    alone,
    is_run,
    made_by,
    start_run,
    started_with,
    versions,
    write_manifest,
)
from forgetwell.runs.records import load_row_values, save_evaluation
from forgetwell.suites.cache import Cache, open_cache
from forgetwell.suites.evaluate import Evaluation, evaluate_suite
from forgetwell.suites.plan import metric_item, plan_metrics
from forgetwell.suites.registry import build_suite, served, without_system
from forgetwell.suites.types import Suite
from forgetwell.suites.whole import RowValues
from forgetwell.types import Progress, Result, quiet

RECORDS = "records.jsonl"
MAX_LENGTH = 4096  # tokens of a row; few-shot prompts are longer than what is trained on


@dataclass(frozen=True)
class Measures:
    """What to measure beyond the defaults.

    Attributes:
        metrics: Row and set metrics; by default those that the suite has rows for.
        reference: Evaluation of a model trained without the forget rows, on the same suite.
        baseline: Evaluation of the model before unlearning, on the same suite.
        before: The model before unlearning, asked what it thinks of the answers (for gibberish).
        tasks: Tasks of lm-evaluation-harness.
        task_limit: Documents of each task at most; 0 = all.
    """

    metrics: tuple[str, ...] | None = None
    reference: str = ""
    baseline: str = ""
    before: str = ""
    tasks: tuple[str, ...] = ()
    task_limit: int = 0

    @property
    def runs(self) -> dict[Whose, RowValues]:
        """Row values of the earlier runs that were given."""
        given: tuple[tuple[Whose, str], ...] = (("reference", self.reference), ("baseline", self.baseline))
        return {whose: load_row_values(Path(path)) for whose, path in given if path}

    @property
    def settings(self) -> dict[str, Any]:
        """What was given, with the digest of each earlier run."""
        runs = {k: v for k, v in (("reference", self.reference), ("baseline", self.baseline)) if v}
        digests = {f"{k}_digest": file_sha256(Path(v) / MANIFEST) for k, v in runs.items()}
        given = {
            "metrics": list(self.metrics) if self.metrics else None,
            "before": self.before,
            "lm_eval_tasks": list(self.tasks),
            "lm_eval_limit": self.task_limit,
        }
        own = own_code(metric_item(name) for name in self.metrics or ())
        return {**{k: v for k, v in {**given, "own_code": own}.items() if v}, **runs, **digests}


DEFAULT_MEASURES = Measures()


def evaluation_settings(
    model: str, suite: Suite, *, seed: int, measures: Measures = DEFAULT_MEASURES
) -> dict[str, Any]:
    """Return all that decides an evaluation's numbers, with the run that made the model, if one did."""
    return {
        "kind": "evaluate",
        "model": model,
        "suite": suite.name,
        "rows": digest(suite),
        "max_new_tokens": suite.max_new_tokens,
        "seed": seed,
        "made_by": made_by(model),
        **measures.settings,
    }


def _harness() -> Callable[..., tuple[Result, ...]]:
    try:
        from forgetwell.runs.harness import harness_results
    except ImportError as error:
        raise MissingError(
            f"Tasks of lm-evaluation-harness need the extra: pip install forgetwell[lm-eval] ({error})."
        ) from None
    return harness_results


def evaluate(
    model: str | Path,
    suite: Suite | str,
    out: str | Path,
    *,
    measures: Measures = DEFAULT_MEASURES,
    system: str | Sequence[str] = "",
    seed: int = 0,
    dtype: str = "auto",
    name: str = "",
    condition: str = "",
    cache: str | Path | None = None,
    redact: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> Evaluation:
    """Evaluate a model on a suite into `out`: results.jsonl, answers.jsonl, records.jsonl, manifest.json.

    Under ``accelerate launch`` all processes take part, and the first writes. Where a model's chat template
    takes no system prompt, splits that bring one are left out, which `left_out` says.

    Args:
        model: ``smollm2``, a folder (model, adapter or run) or a hub id.
        suite: What to ask, or its name with options, as ``tofu(split=forget05)``.
        out: The folder.
        measures: Metrics, and the earlier runs that some of them read.
        system: System prompt before all questions, as the service has, or several, in turn.
        seed: Of intervals.
        dtype: Compute type.
        name: What reports call it; by default its folder's name.
        condition: Its part in a comparison (before, plain, attacked, defended); by default its folder's name.
        cache: Folder of records that evaluations share, so that no text is asked twice of one model; by
            default they are kept in `out` alone. `purge` does not reach it.
        redact: Keep digests instead of questions and answers.
        resume: Go on after an interruption.
        overwrite: Replace a run that is there.
        progress: Called with texts scored or answered, and all.

    Raises:
        ExistsError: `out` holds something.
        Busy: Another process is working there.
        UnknownName: There is no such suite or metric.
        MissingError: A metric needs a run that was not given.
        InputError: A metric needs rows that the suite hasn't, or what is to be resumed was begun with other
            settings.
    """
    asked = served(build_suite(suite) if isinstance(suite, str) else suite, system)
    model, processes, out, runs = str(model), started_processes(), Path(out), measures.runs
    harness_results = _harness() if measures.tasks else None
    plan_metrics(measures.metrics, asked, runs)  # what can't be measured is said before a model loads
    settings = evaluation_settings(model, asked, seed=seed, measures=measures)
    lm, asked, refused = _load_for(asked, model, dtype)
    start = load(measures.before, dtype=dtype, max_length=MAX_LENGTH) if measures.before else None
    records = Cache(None)
    with ExitStack() as ending:
        if processes.first:
            ending.enter_context(alone(out))
            read = (model, measures.before, measures.reference, measures.baseline)
            _start(out, settings, read, overwrite=overwrite, resume=resume)
            records = open_cache(_records_file(lm, out, cache), identity(lm), texts=not redact)
        evaluation = evaluate_suite(
            lm,
            asked,
            metrics=measures.metrics, runs=runs, start=start, seed=seed,
            cache=records, processes=processes, progress=progress,
        )  # fmt: skip
        evaluation = replace(evaluation, left_out=(*refused, *evaluation.left_out))
        if harness_results is not None and processes.first:
            found = harness_results(lm, measures.tasks, limit=measures.task_limit or None, seed=seed)
            evaluation = replace(evaluation, results=(*evaluation.results, *found))
        if processes.first:
            labels = {k: v for k, v in (("name", name), ("condition", condition)) if v}
            made = {"digest": lm.digest, "compute": type_name(lm.compute), "processes": processes.count}
            _finish(out, evaluation, {**settings, **labels, **made}, redact)
    return evaluation


def _load_for(suite: Suite, model: str, dtype: str) -> tuple[HFModel, Suite, tuple[str, ...]]:
    """Load a model; return it, the part of a suite that its template takes, and what is left out and why.

    A row that does not fit is refused before hours are spent on the others.
    """
    lm = load(model, dtype=dtype, max_length=MAX_LENGTH)
    taken, left_out = (suite, ()) if lm.codec.takes_system else without_system(suite)
    for split in taken.splits:
        for row in split.rows:
            lm.codec.encode(row)
    return lm, taken, left_out


def _finish(out: Path, evaluation: Evaluation, facts: Mapping[str, Any], redact: bool) -> None:
    save_evaluation(out, evaluation, change=redaction.redact if redact else iter)
    if redact:
        redaction.purge(out)  # what an interrupted run without it has left
    write_manifest(out, facts)


def identity(lm: HFModel) -> str:
    """Return a digest of all but the text that decides a record: weights, tokens, types, versions."""
    return sha256([lm.digest, lm.codec.digest, str(lm.compute), lm.device.type, versions()])


def _records_file(lm: HFModel, out: Path, cache: str | Path | None) -> Path:
    if cache is None:
        return out / RECORDS
    return Path(cache) / f"{identity(lm).removeprefix('sha256:')[:16]}.jsonl"


def _start(
    out: Path, settings: Mapping[str, Any], reads: Sequence[str], *, overwrite: bool, resume: bool
) -> None:
    if resume and not overwrite and is_run(out) and not started_with(out, settings):
        raise InputError(
            f"{out} was begun with another model, suite or seed. Give those again, choose another --out, or "
            "add --overwrite."
        )
    start_run(out, settings, overwrite=overwrite, resume=resume, reads=reads)
