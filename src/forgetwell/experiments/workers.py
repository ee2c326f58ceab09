"""Processes and machines that runs are divided over."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from forgetwell.errors import InputError, RunsFailed

Executor = Literal["local", "ray"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        here: False: another process does it.
        error: Why it could not be finished; "" = it was.
    """

    here: bool = True
    error: str = ""


class Work(Protocol):
    """What can be done in another process."""

    def execute(self, threads: int = 0) -> Outcome:
        """Do it, on a number of threads (0 = torch's own choice)."""
        ...


T = TypeVar("T", bound=Work)


def execute_all(tasks: Sequence[T], jobs: int, executor: Executor) -> Iterator[tuple[T, Outcome]]:
    """Do the tasks; give each as it ends, and how it did."""
    if executor == "ray" and tasks:
        return _with_ray(tasks, jobs)
    if jobs > 1 and len(tasks) > 1:
        return _with_processes(tasks, jobs)
    return _one_by_one(tasks)


def _one_by_one(tasks: Sequence[T]) -> Iterator[tuple[T, Outcome]]:
    for task in tasks:
        yield task, task.execute()


def _with_processes(tasks: Sequence[T], jobs: int) -> Iterator[tuple[T, Outcome]]:
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    # Threads of several processes that spin while they wait would take each other's cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    threads = max(1, (os.cpu_count() or 1) // jobs)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=end_with_parent) as pool:
        waiting = {pool.submit(task.execute, threads): task for task in tasks}
        for done in as_completed(waiting):
            try:
                yield waiting[done], done.result()
            except BrokenProcessPool:
                raise RunsFailed(
                    f"A process of the {jobs} that run at a time was killed, most likely for memory. "
                    "Run the same command again with fewer --jobs: finished runs are skipped."
                ) from None


def _with_ray(tasks: Sequence[T], jobs: int) -> Iterator[tuple[T, Outcome]]:
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
            yield waiting.pop(done), ray.get(done)
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


def _execute_in(task: Work, folder: str) -> Outcome:
    """Do a task where its relative paths hold: a worker of Ray starts elsewhere."""
    os.chdir(folder)
    return task.execute()


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however it did.

    A pool's processes finish the task they are at: of a plan that was killed, runs would go on for minutes,
    unseen, and take the processors of the next one.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
