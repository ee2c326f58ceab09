"""The jobs behind the commands: learn and unlearn, each from files to one run folder."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from forgetwell.calls import parse_call
from forgetwell.data.reading import read_request, read_rows
from forgetwell.data.row_files import lean_rows
from forgetwell.data.world import load_refusals
from forgetwell.errors import InputError
from forgetwell.files import digest, write_jsonl
from forgetwell.methods.finetune import (
    Lora,
    Outcome,
    check_disjoint,
    check_facts,
    check_refusals,
    finetune,
    merged,
)
from forgetwell.methods.own_answers import check_kept
from forgetwell.methods.registry import METHODS, Training, apply_method
from forgetwell.models.hardware import type_name
from forgetwell.models.lm import HFModel, load
from forgetwell.models.loading import saved_digest
from forgetwell.models.processes import started_processes
from forgetwell.models.saving import ModelCard
from forgetwell.runs.fitting import fitting_rows
from forgetwell.runs.folder import (
    alone,
    append_log,
    is_done,
    is_run,
    read_manifest,
    start_run,
    started_with,
    trim_log,
    write_manifest,
)
from forgetwell.runs.job import Job
from forgetwell.runs.records import read_log
from forgetwell.runs.redaction import redact
from forgetwell.runs.starting import check_start
from forgetwell.runs.tracking import Log, check_trackers, tracked
from forgetwell.suites.probe import check_asked, request_probe
from forgetwell.training.best import parse_best_rule
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks, Summary
from forgetwell.training.parallel import asked_kind
from forgetwell.training.rules import STEP_RULES
from forgetwell.training.stopping import check_probed
from forgetwell.types import Progress, Request, Row, quiet

CHECKPOINT = "checkpoint.pt"
_ON_CARD = (
    *("kind", "config", "lora", "dtype", "max_length"),
    *("keep_best", "keep", "counterfactuals", "refusals", "system"),
)


def unlearn(
    model: str | Path,
    request: Request | str | Path,
    retain: Sequence[Row] | str | Path,
    *,
    objective: str = "",
    out: str | Path,
    method: str = "",
    config: TrainConfig | None = None,
    refusals: Sequence[str] | None = None,
    lora: Lora | None = None,
    redact: bool = False,
    probe: Sequence[Row] | str | Path = (),
    keep: Sequence[Row] | str | Path = (),
    counterfactuals: int = 0,
    keep_best: str = "",
    system: str | Sequence[str] = "",
    dtype: str = "auto",
    max_length: int = 1024,
    overwrite: bool = False,
    resume: bool = False,
    report_to: Sequence[str] = (),
) -> Summary:
    """Unlearn a request, by an objective or a method, into a run folder as ``forgetwell unlearn`` does.

    Args:
        model: ``smollm2``, a folder (model, adapter or run) or a hub id.
        request: Rows to forget, or where to read them.
        retain: Rows to keep, or where to read them.
        objective: As papers write it: ``npo + gdr + 5*su``.
        out: The run folder.
        method: A method in place of an objective, as ``task_vector(alpha=5)``.
        config: Training hyperparameters; by default `TrainConfig()`.
        refusals: Lines for refusal views; by default our own 100.
        lora: Adapters instead of full fine-tuning.
        redact: Keep digests instead of the request's text in the run.
        probe: Rows to keep that are asked during training, or where to read them; none = no probe.
        keep: Prompts at which the model should stay as it is, or where to read them.
        counterfactuals: Of how many others, whom the retain rows name, each question of the request is asked
            as well: prompts to keep, half of all rows to keep or more; 0 = of nobody.
        keep_best: Save the weights of the best probe, by this rule; by default the last ones.
        system: System prompt before all rows, as the service has, or several, which rows take in turn.
        dtype: Compute type: auto, float32 or bfloat16.
        max_length: Longest row in tokens.
        overwrite: Replace a run that is there.
        resume: Go on after an interruption.
        report_to: Trackers that get the log as well, as ("tensorboard",).

    Raises:
        ExistsError: `out` holds something.
        InputError: Rows, objective or settings can't be used; nothing was written.
        Diverged: Training diverged and has no good weights to go back to (`Summary.diverged`: it has).
    """
    job = Job(
        "unlearn",
        str(model),
        request if isinstance(request, Request) else read_request(request),
        given_rows(retain),
        objective,
        config or TrainConfig(),
        load_refusals() if refusals is None else tuple(refusals),
        lora,
        dtype,
        max_length,
        redact=redact,
        probe=given_rows(probe),
        keep=given_rows(keep),
        counterfactuals=counterfactuals,
        keep_best=keep_best,
        method=method,
    ).behind(system)
    return run_job(job, Path(out), overwrite=overwrite, resume=resume, report_to=report_to)


def given_rows(given: Sequence[Row] | str | Path) -> tuple[Row, ...]:
    """Return rows that were given, or read them from where they were said to be."""
    return read_rows(given) if isinstance(given, str | Path) else tuple(given)


def run_job(
    job: Job,
    out: Path,
    *,
    progress: Progress = quiet,
    overwrite: bool = False,
    resume: bool = False,
    lm: HFModel | None = None,
    save: bool = True,
    report_to: Sequence[str] = (),
) -> Summary:
    """Run a job into the folder `out`: request.jsonl, train.jsonl, model/ (if `save`), then manifest.json.

    Under ``accelerate launch`` all processes train, and the first writes.

    Args:
        job: What is trained on what, and how.
        out: The run folder.
        progress: Called with (finished steps, all steps).
        overwrite: Replace a run that is there.
        resume: Go on after an interruption; a finished run is left as it is.
        lm: The job's starting model, where it is loaded already; it is changed in place. By default it is
            loaded by its name.
        save: Save the model; without, the run holds what was measured.
        report_to: Trackers that get the training log as well, as ("tensorboard",).

    Raises:
        ExistsError: `out` holds something.
        Busy: Another process is working there.
        InputError: Rows, objective or settings can't be used, or a run to go on with was begun with others;
            nothing was written.
        Diverged: Training diverged and has no good weights to go back to; there is no model and no manifest.
    """
    metrics = check_job(job, report_to)
    processes = started_processes()  # before a model loads: on GPUs each process has its own
    lm = lm or starting_model(job)
    before = processes.by_first(lambda: _ended(job, out, lm)) if resume and not overwrite else None
    if before is not None:
        return before
    request, retain = fitting_rows(job, lm, progress)
    check_start(job, lm, request, retain)
    with ExitStack() as ending:
        processes.by_first(lambda: _start(job, out, ending, overwrite=overwrite, resume=resume))
        report = ending.enter_context(tracked(report_to if processes.first else (), out, job.settings))
        hooks = _hooks(job, out, lm, metrics, progress, report)
        outcome = _trained(job, lm, request, retain, hooks, resume=resume)
        made = {"base_digest": lm.digest, "compute": type_name(lm.compute)}
        facts = {**job.settings, **made, **_ending(job, outcome.summary)}
        if processes.count > 1:
            facts["processes"] = {"count": processes.count, "kind": asked_kind()}
        probe, made_lm = outcome.summary.probe, outcome.lm if save else None
        processes.by_first(lambda: _finish(job, out, made_lm, facts, probe))
    return outcome.summary


def _trained(
    job: Job, lm: HFModel, request: Request, retain: Sequence[Row], hooks: Hooks, *, resume: bool
) -> Outcome:
    if job.method:
        return apply_method(lm, request, retain, Training(job.config, hooks), job.method)
    return finetune(
        lm,
        request,
        retain,
        hooks,
        objective=job.objective,
        config=job.config,
        refusals=job.refusals,
        lora=job.lora,
        resume=resume,
    )


def check_job(job: Job, report_to: Sequence[str] = ()) -> tuple[str, ...]:
    """Refuse a job that can't be done, before a model is loaded; return the metrics that its probe measures.

    Raises:
        InputError: Objective, rules, trackers or rows can't be used, as where a row is both to forget and to
            keep, or an objective lacks what it reads.
        UnknownName: A rule names no metric.
    """
    check_method(job)
    STEP_RULES.resolve(parse_call(job.config.step_rule))
    check_probed(job.keep_best, probed=bool(job.probe))
    check_probed(job.config.stop_at, probed=bool(job.probe) and job.config.probe_every > 0)
    check_trackers(report_to)
    if job.probe:
        check_asked(job.request.rows, job.probe)
    check_disjoint(job.request.rows, job.retain)
    check_facts(job.terms, job.request.rows)
    check_refusals(job.terms, job.refusals)
    check_kept((*job.keep, *job.others), job.request.rows)
    return job.probe_metrics


def check_method(job: Job) -> None:
    """Refuse a job of an objective and a method, of neither, or of a method and what an objective's has.

    Raises:
        InputError: It is one of these.
        UnknownName: There is no such method.
    """
    if bool(job.method) == bool(job.objective):
        raise InputError(
            f"The objective is {job.objective!r} and the method {job.method!r}; give one of the two, as "
            "the objective 'npo + gdr' or the method 'task_vector(alpha=5)'."
        )
    if not job.method:
        return
    METHODS.resolve(parse_call(job.method))
    others = {
        "adapters (lora)": job.lora,
        "a stop rule": job.config.stop_at,
        "a rule for the best probe": job.keep_best,
        "checkpoints": job.config.checkpoint_every,
    }
    for what, given in others.items():
        if given:
            raise InputError(f"{job.method} takes all its steps with all weights and has no use for {what}.")


def _ended(job: Job, out: Path, lm: HFModel) -> Summary | None:
    """Return how a job ended whose finished run is there; None where there is none.

    Raises:
        InputError: It started from another model.
    """
    if not is_done(out, job.settings):
        return None
    made, log = read_manifest(out), read_log(out)
    if made.get("base_digest") != lm.digest:
        raise InputError(
            f"{out} holds this run, but the model {job.model} has changed since. Choose another --out, or "
            "add --overwrite."
        )
    (out / CHECKPOINT).unlink(missing_ok=True)  # left by a run that was killed after its manifest
    steps, probes = made["steps"], [record["probe"] for record in log if "probe" in record]
    return Summary(
        steps,
        made["stopped"],
        made["seconds"],
        made.get("kept_step", steps),
        probes[-1] if probes else {},
        made.get("met", True),
        made.get("missed", False),
        made.get("diverged", False),
    )


def _start(job: Job, out: Path, ending: ExitStack, *, overwrite: bool, resume: bool) -> None:
    ending.enter_context(alone(out))
    if resume and not overwrite and is_run(out) and not started_with(out, job.settings):
        raise InputError(
            f"{out} was begun with other rows, settings or code of your own. Give those again, choose "
            "another --out, or add --overwrite."
        )
    start_run(out, job.settings, overwrite=overwrite, resume=resume, reads=[job.model])
    if job.kind == "unlearn" and job.request.rows:
        rows = lean_rows(job.request.rows)
        write_jsonl(out / "request.jsonl", redact(rows) if job.redact else rows)
    trim_log(out, _finished(out / CHECKPOINT) if resume else -1)


def _finish(
    job: Job, out: Path, lm: HFModel | None, facts: dict[str, Any], probe: Mapping[str, float]
) -> None:
    """Save the model, if there is one to save, and the manifest, with the digest that it will be known by."""
    # Left by a run that was killed after saving and before its manifest.
    shutil.rmtree(out / "model", ignore_errors=True)
    if lm is not None:
        made = merged(lm) if job.lora and job.lora.merge else lm
        made.save(out / "model", _card(job, facts, probe))
        known = saved_digest(out / "model")
        facts = {**facts, **({"digest": known} if known else {})}
    write_manifest(out, facts)
    (out / CHECKPOINT).unlink(missing_ok=True)


def starting_model(job: Job) -> HFModel:
    """Load the model that a job starts from, in its compute type."""
    four_bit = job.lora is not None and job.lora.four_bit
    return load(job.model, dtype=job.dtype, max_length=job.max_length, four_bit=four_bit)


def _hooks(
    job: Job, out: Path, lm: HFModel, metrics: Sequence[str], progress: Progress, report: Log
) -> Hooks:
    def log(record: Mapping[str, Any]) -> None:
        append_log(out, record)
        report(record)

    probe = None
    if job.probe:
        probe = request_probe(job.request, job.probe, metrics=metrics, seed=job.config.seed)
    return Hooks(
        log=log,
        probe=probe,
        keep_best=parse_best_rule(job.keep_best) if job.keep_best else None,
        checkpoint=out / CHECKPOINT,
        key=digest([job.settings, lm.digest, type_name(lm.compute)]),
        progress=progress,
    )


def _ending(job: Job, summary: Summary) -> dict[str, Any]:
    kept = {"kept_step": summary.kept, "met": summary.met} if job.keep_best else {}
    if summary.diverged:
        kept = {**kept, "kept_step": summary.kept, "diverged": True}
    missed = {"missed": summary.missed} if job.config.stop_at else {}
    return {
        "steps": summary.steps,
        "stopped": summary.stopped,
        **kept,
        **missed,
        "seconds": round(summary.seconds, 1),
    }


def _card(job: Job, facts: Mapping[str, Any], probe: Mapping[str, float]) -> ModelCard:
    settings = {name: facts[name] for name in _ON_CARD if name in facts}
    digests = {"base": facts["base_digest"], "retain": facts["retain"]["digest"]}
    if job.request.rows:
        digests["request"] = facts["request"]["digest"]
    ending = {name: facts[name] for name in ("steps", "stopped", "kept_step") if name in facts}
    return ModelCard(job.model, facts["objective"], settings, digests, ending, probe)


def _finished(checkpoint: Path) -> int:
    """Return the steps that a checkpoint holds."""
    if not checkpoint.exists():
        return -1
    import torch

    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["step"])
