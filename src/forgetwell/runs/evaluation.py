"""Evaluation to a folder: results and answers as JSON Lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forgetwell.data.reading import read_rows
from forgetwell.data.world import load_world
from forgetwell.errors import MissingError, unknown_name
from forgetwell.files import digest, file_sha256
from forgetwell.metrics.sets import Whose
from forgetwell.models.lm import load
from forgetwell.requests.template_sets import load_templates
from forgetwell.runs.folder import MANIFEST, start_run, write_manifest
from forgetwell.runs.jobs import Progress
from forgetwell.runs.records import load_row_values, save_evaluation
from forgetwell.runs.redaction import purge
from forgetwell.suites.evaluate import Evaluation, evaluate_suite
from forgetwell.suites.plan import plan_metrics
from forgetwell.suites.protocol import protocol_suite
from forgetwell.suites.types import Suite
from forgetwell.suites.whole import RowValues
from forgetwell.types import Result, Row


def tofu_suite(
    forget: Sequence[Row] | None = None,
    *,
    templates: str = "tofu",
    limit: int | None = None,
    max_new_tokens: int = 40,
) -> Suite:
    """Return the TOFU protocol: three utility sets, clean and in every template, beside the forget rows.

    Args:
        forget: The forget rows, before any attack; by default forget01.
        templates: Template set of the trigger condition.
        limit: Rows of each utility set at most.
        max_new_tokens: Length of answers.

    Source: arXiv 2506.00359, section 5.
    """
    names = ("retain", "real_authors", "world_facts")
    utility = {name: read_rows(f"tofu:{name}_perturbed", limit=limit) for name in names}
    asked = forget or read_rows("tofu:forget01_perturbed")
    return protocol_suite("tofu", asked, utility, load_templates(templates), max_new_tokens=max_new_tokens)


def world_suite(*, templates: str = "tofu", limit: int | None = None, max_new_tokens: int = 24) -> Suite:
    """Return the protocol on the built-in world.

    Utility sets: people that unlearning trains on to keep, people it never sees, and general questions.

    Args:
        templates: Template set of the trigger condition.
        limit: Rows of each set at most.
        max_new_tokens: Length of answers.

    Source: the protocol of arXiv 2506.00359, section 5, on data of our own.
    """
    world = load_world()
    utility = {"retain": world.retain, "unseen": world.unseen, "general": world.evaluation}
    chosen = {name: rows[:limit] for name, rows in utility.items()}
    forget = world.request[:limit]
    return protocol_suite("world", forget, chosen, load_templates(templates), max_new_tokens=max_new_tokens)


SUITES: Mapping[str, Callable[[], Suite]] = {"world": world_suite, "tofu": tofu_suite}


@dataclass(frozen=True)
class Measures:
    """What to measure beyond the defaults.

    Attributes:
        metrics: Row and set metrics; by default those that the suite has rows for.
        reference: Evaluation of a model trained without the forget rows, on the same suite.
        before: Evaluation of the model before unlearning, on the same suite.
        start: The model before unlearning, asked what it thinks of the answers (for gibberish).
        tasks: Tasks of lm-evaluation-harness.
        task_limit: Documents of each task at most; 0 = all.
    """

    metrics: tuple[str, ...] | None = None
    reference: str = ""
    before: str = ""
    start: str = ""
    tasks: tuple[str, ...] = ()
    task_limit: int = 0

    @property
    def runs(self) -> dict[Whose, RowValues]:
        """Row values of the earlier runs that were given."""
        given: tuple[tuple[Whose, str], ...] = (("reference", self.reference), ("before", self.before))
        return {whose: load_row_values(Path(path)) for whose, path in given if path}

    @property
    def settings(self) -> dict[str, Any]:
        """What was given, with the digest of each earlier run."""
        runs = {k: v for k, v in (("reference", self.reference), ("before", self.before)) if v}
        digests = {f"{k}_digest": file_sha256(Path(v) / MANIFEST) for k, v in runs.items()}
        given = {
            "metrics": list(self.metrics) if self.metrics else None,
            "start": self.start,
            "lm_eval_tasks": list(self.tasks),
            "lm_eval_limit": self.task_limit,
        }
        return {**{k: v for k, v in given.items() if v}, **runs, **digests}


DEFAULT_MEASURES = Measures()


def evaluation_settings(
    model: str, suite: Suite, *, seed: int, measures: Measures = DEFAULT_MEASURES
) -> dict[str, Any]:
    """Return all that decides an evaluation's numbers, with the run that made the model, if one did."""
    made = Path(model) / MANIFEST
    return {
        "kind": "evaluate",
        "model": model,
        "suite": suite.name,
        "rows": digest(suite),
        "max_new_tokens": suite.max_new_tokens,
        "seed": seed,
        "made_by": file_sha256(made) if made.is_file() else "",
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
    model: str,
    suite: Suite | str,
    out: str | Path,
    *,
    measures: Measures = DEFAULT_MEASURES,
    seed: int = 0,
    dtype: str = "auto",
    name: str = "",
    condition: str = "",
    redact: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Evaluate a model on a suite into the folder `out`: results.jsonl, answers.jsonl, manifest.json.

    Args:
        model: ``smollm2``, a folder (model, adapter or run) or a hub id.
        suite: What to ask, or ``world`` or ``tofu``.
        out: The folder.
        measures: Metrics, and the earlier runs that some of them read.
        seed: Of intervals.
        dtype: Compute type.
        name: What reports call it; by default its folder's name.
        condition: Its part in a comparison (before, plain, attacked, defended); by default its folder's name.
        redact: Keep digests instead of questions and answers.
        overwrite: Replace a run that is there.
        progress: Called with texts scored or answered, and all.

    Raises:
        ExistsError: `out` holds something.
        UnknownName: There is no such suite or metric.
        MissingError: A metric needs a run that was not given.
        InputError: A metric needs rows that the suite hasn't.
    """
    if isinstance(suite, str):
        if suite not in SUITES:
            raise unknown_name("suite", suite, SUITES)
        suite = SUITES[suite]()
    out = Path(out)
    harness_results = _harness() if measures.tasks else None
    runs = measures.runs
    plan_metrics(measures.metrics, suite, runs)  # what can't be measured is said before a model loads
    settings = evaluation_settings(model, suite, seed=seed, measures=measures)
    lm = load(model, dtype=dtype)
    start = load(measures.start, dtype=dtype) if measures.start else None
    start_run(out, settings, overwrite=overwrite)
    evaluation = evaluate_suite(
        lm, suite, metrics=measures.metrics, runs=runs, start=start, seed=seed, progress=progress
    )
    if harness_results is not None:
        found = harness_results(lm, measures.tasks, limit=measures.task_limit or None, seed=seed)
        evaluation = replace(evaluation, results=(*evaluation.results, *found))
    save_evaluation(out, evaluation)
    if redact:
        purge(out)
    labels = {k: v for k, v in (("name", name), ("condition", condition)) if v}
    write_manifest(out, {**settings, **labels, "digest": lm.digest})
    return evaluation
