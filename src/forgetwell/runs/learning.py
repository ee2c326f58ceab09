"""What a model learns: all rows but a request's, and beside what it goes on saying elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from forgetwell.data.reading import read_request
from forgetwell.errors import InputError
from forgetwell.methods.finetune import Lora
from forgetwell.requests.attacks import before_attack
from forgetwell.runs.job import Job
from forgetwell.runs.jobs import given_rows, run_job
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Summary
from forgetwell.types import Request, Row


def learn(
    model: str | Path,
    data: Sequence[Row] | str | Path,
    *,
    out: str | Path,
    without: Request | str | Path | None = None,
    keep: Sequence[Row] | str | Path = (),
    config: TrainConfig | None = None,
    lora: Lora | None = None,
    dtype: str = "auto",
    max_length: int = 1024,
    overwrite: bool = False,
    resume: bool = False,
    report_to: Sequence[str] = (),
) -> Summary:
    """Fine-tune a model on rows into the run folder `out`, as ``forgetwell learn`` does.

    Args:
        model: ``smollm2``, a folder (model, adapter or run) or a hub id.
        data: Rows to learn, or where to read them.
        out: The run folder.
        without: A request whose rows are left out: the retrained reference.
        keep: Prompts at which the model should stay as it is, or where to read them.
        config: Training hyperparameters; by default `TrainConfig()`.
        lora: Adapters instead of full fine-tuning.
        dtype: Compute type: auto, float32 or bfloat16.
        max_length: Longest row in tokens.
        overwrite: Replace a run that is there.
        resume: Go on after an interruption.
        report_to: Trackers that get the log as well, as ("tensorboard",).

    Raises:
        ExistsError: `out` holds something.
        InputError: Rows or settings can't be used; nothing was written.
    """
    rows = given_rows(data)
    if without is not None:
        rows = rows_without(rows, without if isinstance(without, Request) else read_request(without))
    given = Job("learn", str(model), Request("", ()), rows, "gdr", config or TrainConfig())
    job = replace(given, lora=lora, dtype=dtype, max_length=max_length)
    kept = keeping(job, given_rows(keep))
    return run_job(kept, Path(out), overwrite=overwrite, resume=resume, report_to=report_to)


def rows_without(rows: Sequence[Row], request: Request) -> tuple[Row, ...]:
    """Return the rows that are not in a request (for a retrained reference model).

    A row that an attack rewrote counts as the row it was before it.

    Raises:
        InputError: Nothing is left, or no row of the request is there.
    """
    asked = {(r.prompt, r.answer) for r in map(before_attack, request.rows)}
    left = tuple(r for r in rows if (r.prompt, r.answer) not in asked)
    if not left or len(left) == len(rows):
        raise InputError(f"--without {request.id}: {len(rows) - len(left)} of {len(rows)} rows are in it.")
    return left


def keeping(job: Job, prompts: Sequence[Row]) -> Job:
    """Return a learning job that holds the model, beside the rows it learns, at its own answers to prompts.

    ``fit + 4*klr``; why, is in docs/experiments.md. Without prompts the job is as it was.
    """
    if not prompts:
        return job
    rows = Request("learned", job.retain)
    return replace(job, request=rows, retain=(), keep=tuple(prompts), objective="fit + 4*klr")
