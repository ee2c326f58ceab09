"""What a model learns: all rows but a request's, and beside what it goes on saying elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forgetwell.errors import InputError
from forgetwell.runs.jobs import Job
from forgetwell.types import Request, Row


def without(rows: Sequence[Row], request: Request) -> tuple[Row, ...]:
    """Return the rows that are not in a request (for a retrained reference model).

    A row that an attack rewrote counts as the row it was before.

    Raises:
        InputError: Nothing is left, or no row of the request is there.
    """
    asked = {(r.edit.prompt, r.edit.answer) if r.edit else (r.prompt, r.answer) for r in request.rows}
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
