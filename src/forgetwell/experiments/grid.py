"""Running a plan: every cell leaves a folder, finished ones are skipped, and one table holds them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from forgetwell.data.world import load_refusals
from forgetwell.errors import Busy, ForgetwellError, MissingError, RunsFailed
from forgetwell.experiments.bench import Bench, bench_label, bind_bench
from forgetwell.experiments.claims import Run, Setup, run_claim, run_folder, run_settings
from forgetwell.experiments.page import write_page
from forgetwell.experiments.parts import WHOLE, Part, cut
from forgetwell.experiments.plan import Comparison, Plan, cells
from forgetwell.experiments.reuse import Finished, find_finished, take_over
from forgetwell.experiments.sameness import check_same
from forgetwell.experiments.stages import Bar, Say, learning_job, train_stage
from forgetwell.experiments.tables import TABLE, Tables, write_tables
from forgetwell.experiments.workers import Executor, Outcome, execute_all
from forgetwell.models.loading import find_model
from forgetwell.own import use, used
from forgetwell.runs.folder import LOCKS, held, is_done
from forgetwell.runs.job import Job
from forgetwell.runs.records import is_complete
from forgetwell.runs.tracking import check_trackers

State = Literal["done", "reused", "open"]
STARTS = "starts"  # what was measured before the first step


@dataclass(frozen=True)
class Start:
    """What runs start from.

    Attributes:
        path: The model.
        job: By which it is learned; None = it is taken as it is.
        learning: The job's settings.
    """

    path: Path
    job: Job | None = None
    learning: Mapping[str, Any] | None = None

    def find(self) -> None:
        """Look for the model, or the one that is to learn; nothing is loaded.

        Raises:
            MissingError: It isn't here.
        """
        if self.job is None or self.learning is None:
            find_model(str(self.path))
        elif not is_done(self.path, self.learning):
            find_model(self.job.model)


@dataclass(frozen=True)
class Task:
    """One run of a plan, with all that a process on another machine needs."""

    bench: Bench
    setup: Setup
    run: Run
    start: Start
    out: Path
    root: Path
    report_to: tuple[str, ...] = ()
    own: tuple[Path, ...] = ()  # files of items of one's own, for a process that starts anew

    @property
    def folder(self) -> Path:
        """Where the run lies."""
        return run_folder(self.out, self.run)

    @property
    def settings(self) -> dict[str, Any]:
        """What the run depends on."""
        return run_settings(self.bench, self.setup, self.run, self.start.path)

    def check(self) -> None:
        """Refuse a run of other settings in its place."""
        check_same(self.folder, self.settings, self.start.learning)

    def execute(self, threads: int = 0) -> Outcome:
        """Do the run, on a number of threads (0 = torch's own choice).

        What is wrong with a run, as training that diverges, is its outcome: other runs of a plan go on.
        """
        for path in self.own:
            use(path)
        if threads:
            import torch

            torch.set_num_threads(threads)
        try:
            return Outcome(self.alone(self._make))
        except ForgetwellError as error:
            return Outcome(error=str(error))

    def alone(self, do: Callable[[], None]) -> bool:
        """Do something to the run's folder; False: another process is at it, and nothing was done."""
        try:
            with held(self.folder, self.root / LOCKS):
                do()
        except Busy:
            return False
        return True

    def _make(self) -> None:
        run_claim(
            self.bench,
            self.setup,
            self.run,
            self.start.path,
            self.out,
            refusals=load_refusals(),
            report_to=self.report_to,
            starts=self.root / STARTS,
        )


@dataclass(frozen=True)
class Planned:
    """One run of a plan: in which comparison, and whether it is done, done elsewhere, or neither."""

    comparison: Comparison
    run: Run
    state: State


def run_plan(
    plan: Plan,
    out: Path,
    *,
    say: Say,
    bar: Bar,
    part: Part = WHOLE,
    jobs: int = 1,
    executor: Executor = "local",
    report_to: Sequence[str] = (),
    reuse: Sequence[Path] = (),
) -> Tables:
    """Run what a plan still lacks; write cells.jsonl, claims.json, table.md and report.html, and return them.

    A run that fails, as by training that diverges, is said; the others go on.

    The tables and the report hold every finished run of the plan, also of an interrupted one, which goes on
    where it stopped, and of comparisons that are not run now. A comparison whose data isn't here is left
    out, which is said.

    Args:
        plan: What to run.
        out: Folder of all runs, also of earlier ones of this plan.
        say: Takes one line for the person who watches.
        bar: Makes a progress bar.
        part: What of it to run.
        jobs: Runs at a time on this machine; a Ray cluster that is there already knows its own number.
        executor: ``local`` processes, or ``ray``: the cluster that runs here or that RAY_ADDRESS names, else
            one on this machine. Its machines must share the folder.
        report_to: Trackers that get the log of every run, as ("tensorboard",).
        reuse: Folders of other plans, or single runs: what was learned or run there with the same settings
            is taken over.

    Raises:
        UnknownName: There is no such tracker or condition.
        InputError: A comparison or seed of the part does not exist, a run of other settings is in the way (of
            the whole plan: the tables would hold it), or Ray is missing.
        MissingError: A folder of `reuse` or a starting model isn't there, or the data of no comparison is.
        RunsFailed: Some runs could not be finished; tables and report hold the others.

    Source: arXiv 2506.00359, section 5; see `read_claims` for what is ours.
    """
    check_trackers(report_to)
    chosen, elsewhere = cut(plan, part), find_finished(reuse)
    benches = make_benches(plan, chosen, say)
    check_finished(plan, benches, out, elsewhere)
    tasks = _tasks(chosen, benches, out, elsewhere)
    _take_over(tasks, elsewhere, say)
    missing = [replace(t, report_to=tuple(report_to), own=used()) for t in tasks if not is_complete(t.folder)]
    starts = {t.start.path: t.start for t in missing}.values()
    for start in starts:
        start.find()
    for start in starts:
        if start.job:
            train_stage(start.job, start.path, bar, say)
    say(f"{len(tasks)} runs, {len(tasks) - len(missing)} of them done before.")
    failed: dict[Path, str] = {}
    try:
        for task, error in _watched(execute_all(missing, jobs, executor), len(missing), say):
            if error:
                failed[task.folder] = error
    finally:  # an interruption after hours shall leave what was found so far
        check_finished(plan, benches, out, elsewhere)  # other processes may have made runs meanwhile
        tables = write_tables(plan, benches, out)
        write_page(plan, tables, out)
    if failed:
        lines = [f"{len(failed)} of {len(missing)} runs failed; {out / TABLE} holds the others:"]
        raise RunsFailed("\n".join([*lines, *(f"  {folder}: {error}" for folder, error in failed.items())]))
    return tables


def _watched(ended: Iterable[tuple[Task, Outcome]], total: int, say: Say) -> Iterator[tuple[Task, str]]:
    """Give each task that has ended, and why it failed; say how many have, and how long the rest takes."""
    started = time.monotonic()
    for k, (task, outcome) in enumerate(ended, 1):
        if not outcome.here:
            task.check()
        left = (time.monotonic() - started) / k * (total - k) / 60
        what = f"about {left:.0f} min left" if outcome.here else "this one by another process, which is at it"
        say(f"{k} of {total} {'failed' if outcome.error else 'done'}, {what}: {task.folder}")
        yield task, outcome.error


def planned(
    plan: Plan,
    out: Path,
    *,
    say: Say,
    part: Part = WHOLE,
    reuse: Sequence[Path] = (),
) -> tuple[Planned, ...]:
    """Return every run that `run_plan` would see to, in order, with what there is of it; nothing is done.

    Raises:
        InputError: As by `run_plan`.
        MissingError: As by `run_plan`.
    """
    chosen, elsewhere = cut(plan, part), find_finished(reuse)
    benches = make_benches(plan, chosen, say)
    check_finished(plan, benches, out, elsewhere)
    tasks = {t.folder: t for t in _tasks(chosen, benches, out, elsewhere)}
    states = {folder: _state(task, elsewhere) for folder, task in tasks.items()}
    for start in {t.start.path: t.start for f, t in tasks.items() if states[f] == "open"}.values():
        start.find()
    here = [(c, run) for c, run in cells(chosen) if c.bench in benches]
    return tuple(Planned(c, run, states[run_folder(out / c.name, run)]) for c, run in here)


def _state(task: Task, elsewhere: Finished) -> State:
    if is_complete(task.folder):
        return "done"
    return "reused" if elsewhere.find(task.settings) else "open"


def make_benches(plan: Plan, chosen: Plan, say: Say) -> dict[str, Bench]:
    """Return a plan's benches whose data is here; say which are left out.

    Raises:
        MissingError: None of those is left that the chosen part of the plan needs.
    """
    made = {}
    for name in dict.fromkeys(c.bench for c in plan.comparisons):
        try:
            made[name] = bind_bench(name)()
        except MissingError as error:
            say(f"{name} is left out: {error}")
    if not any(c.bench in made for c in chosen.comparisons):
        raise MissingError(f"Nothing of {plan.name} can be run: the data of none of its comparisons is here.")
    return made


def check_finished(plan: Plan, benches: Mapping[str, Bench], out: Path, elsewhere: Finished) -> None:
    """Refuse a plan that has finished runs of other settings.

    Raises:
        InputError: It has; the message names the first run and what differs.
    """
    for task in _tasks(plan, benches, out, elsewhere):
        if is_complete(task.folder):
            task.check()


def _tasks(plan: Plan, benches: Mapping[str, Bench], out: Path, elsewhere: Finished) -> list[Task]:
    """Return the runs of a plan whose data is here."""
    here = [c for c in plan.comparisons if c.bench in benches]
    pairs = dict.fromkeys((c.bench, c.model) for c in here)
    starts = {pair: _start(*pair, benches[pair[0]], out, elsewhere) for pair in pairs}
    return [
        Task(benches[c.bench], c.setup, run, starts[c.bench, c.model], out / c.name, out)
        for c, run in cells(replace(plan, comparisons=tuple(here)))
    ]


def _start(name: str, model: str, bench: Bench, out: Path, elsewhere: Finished) -> Start:
    """Return what runs start from: the model, or the run that teaches it the bench's rows.

    That run is one that was done elsewhere, or else it has its place in `out`.
    """
    if not bench.learn:
        return Start(Path(model))
    job = learning_job(bench, model)
    learning = job.settings
    place = out / f"known {bench_label(name)} {Path(model).name}"
    return Start(elsewhere.find(learning) or place, job, learning)


def _take_over(tasks: Sequence[Task], elsewhere: Finished, say: Say) -> None:
    """Copy runs that were done elsewhere."""
    for task in tasks:
        found = None if is_complete(task.folder) else elsewhere.find(task.settings)
        if found is not None and task.alone(partial(take_over, found, task.folder, task.settings)):
            say(f"{task.folder} is {found}.")
