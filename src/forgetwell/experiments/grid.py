"""Running a plan: every cell leaves a folder, finished ones are skipped, and one table holds them all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from forgetwell.data.world import load_refusals
from forgetwell.errors import Busy, InputError, MissingError
from forgetwell.experiments.bench import Bench, bench_label, bind_bench
from forgetwell.experiments.claims import Run, Setup, run_claim, run_folder, run_settings
from forgetwell.experiments.page import write_page
from forgetwell.experiments.plan import Comparison, Plan, cut
from forgetwell.experiments.reuse import Finished, find_finished, take_over
from forgetwell.experiments.stages import Bar, Say, learning_job, train_stage
from forgetwell.experiments.tables import Tables, write_tables
from forgetwell.experiments.workers import end_with_parent
from forgetwell.own import use, used
from forgetwell.runs.folder import LOCKS, held
from forgetwell.runs.records import is_complete
from forgetwell.runs.tracking import check_trackers

Executor = Literal["local", "ray"]
State = Literal["done", "reused", "open"]
STARTS = "starts"  # what was measured before the first step


@dataclass(frozen=True)
class Task:
    """One run of a plan, with all that a process on another machine needs."""

    bench: Bench
    setup: Setup
    run: Run
    known: Path
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
        return run_settings(self.bench, self.setup, self.run, self.known)

    def execute(self, threads: int = 0) -> bool:
        """Do the run, on a number of threads (0 = torch's own choice); False: another process does it."""
        for path in self.own:
            use(path)
        if threads:
            import torch

            torch.set_num_threads(threads)
        return self.alone(self._make)

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
            self.known,
            self.out,
            refusals=load_refusals(),
            report_to=self.report_to,
            starts=self.root / STARTS,
        )


@dataclass(frozen=True)
class Planned:
    """One run of a plan: in which comparison, and whether it is done, done elsewhere, or neither."""

    comparison: str
    run: Run
    state: State


def run_plan(
    plan: Plan,
    out: Path,
    *,
    say: Say,
    bar: Bar,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
    jobs: int = 1,
    executor: Executor = "local",
    report_to: Sequence[str] = (),
    reuse: Sequence[Path] = (),
) -> Tables:
    """Run what a plan still lacks; write cells.jsonl, claims.json, table.md and report.html, and return them.

    The tables and the report hold every finished run of the plan, also of an interrupted one, which goes on
    where it stopped, and of comparisons that are not run now. A comparison whose data isn't here is left
    out, which is said.

    Args:
        plan: What to run.
        out: Folder of all runs, also of earlier ones of this plan.
        say: Takes one line for the person who watches.
        bar: Makes a progress bar.
        only: Names of comparisons to run, or parts of them as "loss=npo"; by default all.
        seeds: Seeds to run; by default all.
        jobs: Runs at a time on this machine; a Ray cluster that is there already knows its own number.
        executor: ``local`` processes, or ``ray``: the cluster that runs here or that RAY_ADDRESS names, else
            one on this machine. Its machines must share the folder.
        report_to: Trackers that get the log of every run, as ("tensorboard",).
        reuse: Folders of other plans, or single runs: what was learned or run there with the same settings
            is taken over.

    Raises:
        UnknownName: There is no such tracker.
        InputError: A comparison or seed does not exist, a run of other settings is in the way, or Ray is
            missing.
        MissingError: A folder of `reuse` isn't there.

    Source: arXiv 2506.00359, section 5; see `read_claims` for what is ours.
    """
    check_trackers(report_to)
    benches = make_benches(plan.comparisons, say)
    chosen = [c for c in cut(plan, only, seeds).comparisons if c.bench in benches]
    elsewhere = find_finished(reuse)
    known = _known(chosen, benches, out, elsewhere)
    for (bench, model), start in known.items():
        if benches[bench].learn:
            train_stage(learning_job(benches[bench], model), start, bar, say)
    tasks = [t for c in chosen for t in _tasks(c, benches[c.bench], known[c.bench, c.model], out)]
    _take_over(tasks, elsewhere, say)
    missing = [replace(t, report_to=tuple(report_to), own=used()) for t in tasks if not is_complete(t.folder)]
    say(f"{len(tasks)} runs, {len(tasks) - len(missing)} of them done before.")
    started = time.monotonic()
    try:
        for k, (folder, here) in enumerate(_execute(missing, jobs, executor), 1):
            left = (time.monotonic() - started) / k * (len(missing) - k) / 60
            what = f"about {left:.0f} min left" if here else "this one by another process, which is at it"
            say(f"{k} of {len(missing)} done, {what}: {folder}")
    finally:  # an interruption after hours shall leave what was found so far
        tables = write_tables(plan, benches, out)
        write_page(plan, tables, out)
    return tables


def planned(
    plan: Plan,
    out: Path,
    *,
    say: Say,
    only: Sequence[str] = (),
    seeds: Sequence[int] = (),
    reuse: Sequence[Path] = (),
) -> tuple[Planned, ...]:
    """Return every run that `run_plan` would see to, in order, with what there is of it; nothing is done.

    Whether a run can be taken over is known only where the bench's data is here.

    Raises:
        InputError: A comparison or seed does not exist.
        MissingError: A folder of `reuse` isn't there.
    """
    elsewhere, comparisons = find_finished(reuse), cut(plan, only, seeds).comparisons
    benches = make_benches(comparisons, say) if reuse else {}
    here = [c for c in comparisons if c.bench in benches]
    known = _known(here, benches, out, elsewhere)
    tasks = [t for c in here for t in _tasks(c, benches[c.bench], known[c.bench, c.model], out)]
    there = {task.folder for task in tasks if elsewhere.find(task.settings)}

    def state(folder: Path) -> State:
        return "done" if is_complete(folder) else "reused" if folder in there else "open"

    return tuple(
        Planned(c.name, run, state(run_folder(out / c.name, run))) for c in comparisons for run in c.runs
    )


def make_benches(comparisons: Sequence[Comparison], say: Say) -> dict[str, Bench]:
    """Return the benches whose data is here; say which are left out."""
    made = {}
    for name in dict.fromkeys(c.bench for c in comparisons):
        try:
            made[name] = bind_bench(name)()
        except MissingError as error:
            say(f"{name} is left out: {error}")
    return made


def _tasks(comparison: Comparison, bench: Bench, known: Path, out: Path) -> list[Task]:
    folder = out / comparison.name
    return [Task(bench, comparison.setup, run, known, folder, out) for run in comparison.runs]


def _take_over(tasks: Sequence[Task], elsewhere: Finished, say: Say) -> None:
    """Copy runs that were done elsewhere."""
    for task in tasks:
        found = None if is_complete(task.folder) else elsewhere.find(task.settings)
        if found is not None and task.alone(partial(take_over, found, task.folder, task.settings)):
            say(f"{task.folder} is {found}.")


def _known(
    comparisons: Sequence[Comparison], benches: Mapping[str, Bench], out: Path, elsewhere: Finished
) -> dict[tuple[str, str], Path]:
    """Return by bench and model what runs start from: the model, or the run that learned the bench's rows.

    That run is one that was done elsewhere, or else it has its place in `out`.
    """

    def start(name: str, model: str) -> Path:
        bench = benches[name]
        if not bench.learn:
            return Path(model)
        found = elsewhere.find(learning_job(bench, model).settings)
        return found or out / f"known {bench_label(name)} {Path(model).name}"

    pairs = dict.fromkeys((c.bench, c.model) for c in comparisons)
    return {(bench, model): start(bench, model) for bench, model in pairs}


def _execute(tasks: Sequence[Task], jobs: int, executor: Executor) -> Iterator[tuple[Path, bool]]:
    """Do the tasks; give the folder of each as it ends, and whether it was done here."""
    if executor == "ray" and tasks:
        return _with_ray(tasks, jobs)
    if jobs > 1 and len(tasks) > 1:
        return _with_processes(tasks, jobs)
    return _one_by_one(tasks)


def _one_by_one(tasks: Sequence[Task]) -> Iterator[tuple[Path, bool]]:
    for task in tasks:
        here = task.execute()
        yield task.folder, here


def _with_processes(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Path, bool]]:
    import multiprocessing
    import os
    from concurrent.futures import ProcessPoolExecutor, as_completed

    # Threads of several processes that spin while they wait would take each other's cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=end_with_parent) as pool:
        waiting = {pool.submit(task.execute, threads): task for task in tasks}
        for done in as_completed(waiting):
            yield waiting[done].folder, done.result()


def _with_ray(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Path, bool]]:
    """Do the tasks on the Ray cluster that runs here or that RAY_ADDRESS names, else on one made for them.

    Each task takes a processor, and a GPU where the cluster has any. All machines must see the folder.
    """
    try:
        import ray
    except ImportError:
        raise InputError("Ray is not installed. Run: pip install 'forgetwell[ray]'") from None
    ours = not ray.is_initialized()
    if ours:
        _join_ray(jobs)
    gpus = 1 if ray.cluster_resources().get("GPU") else 0
    execute = ray.remote(num_cpus=1, num_gpus=gpus)(_execute_in)
    waiting = {execute.remote(task, str(Path.cwd())): task for task in tasks}
    try:
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            yield waiting.pop(done).folder, ray.get(done)
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    finally:
        if ours:
            ray.shutdown()


def _join_ray(jobs: int) -> None:
    import ray

    try:
        ray.init(address="auto", log_to_driver=False)
    except ConnectionError:
        ray.init(address="local", num_cpus=jobs, include_dashboard=False, log_to_driver=False)


def _execute_in(task: Task, folder: str) -> bool:
    """Do a task where its relative paths hold: a worker of Ray starts elsewhere."""
    import os

    os.chdir(folder)
    return task.execute()
