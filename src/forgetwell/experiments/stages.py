"""What the demo, plans and studies share: learning a starting model, and runs that are made once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from forgetwell.errors import ExistsError
from forgetwell.experiments.bench import Bench
from forgetwell.runs.folder import LOCKS, held, is_done, is_run, read_manifest
from forgetwell.runs.job import Job
from forgetwell.runs.jobs import run_job
from forgetwell.runs.learning import keeping
from forgetwell.types import Progress, Request

Bar = Callable[[str], AbstractContextManager[Progress]]
Say = Callable[[str], None]


def learning_job(bench: Bench, model: str) -> Job:
    """Return the job by which a model learns what a bench's starting model knows."""
    job = Job("learn", model, Request("", ()), bench.learn, "gdr", bench.learning)
    return keeping(job, bench.keep)


def train_stage(job: Job, out: Path, bar: Bar, say: Say) -> None:
    """Run a job unless its finished run is there; one that another process makes just now is waited for."""
    with held(out, out.parent / LOCKS, waiting=lambda: say(f"     another process makes {out}: waiting")):
        if is_done(out, job.settings):
            say(f"     reused {out}")
            return
        clear(out)
        with bar(job.kind) as progress:
            summary = run_job(job, out, progress=progress, overwrite=True)
    compute = read_manifest(out)["compute"]
    say(f"     {summary.steps} steps in {summary.seconds:.0f} s in {compute}, {summary.stopped}: {out}")


def clear(out: Path) -> None:
    """Refuse to replace a folder that holds something else than a run."""
    if out.exists() and not is_run(out):
        raise ExistsError(f"{out} exists and is no run of forgetwell; choose another folder with --out.")
