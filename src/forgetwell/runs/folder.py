"""The run folder: append-only, metadata last, never overwritten unasked, one process at a time."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from forgetwell.errors import Busy, ExistsError, InputError
from forgetwell.files import (
    WriteFailed,
    digest,
    file_sha256,
    is_taken,
    read_json,
    read_jsonl,
    read_object,
    write_json,
    write_jsonl,
)

MANIFEST = "manifest.json"
STARTED = "started.json"
LOG = "train.jsonl"
CURVE = "curve.jsonl"  # a plan's run: values of rows by their ids, checkpoint by checkpoint
LOCK = ".lock"  # in a run that a process is at
LOCKS = ".locks"  # beside runs that several processes may make
KINDS = ("learn", "unlearn", "evaluate", "tune", "scan")


def is_run(path: Path) -> bool:
    """Say whether a folder is recognisably a run of ours, finished or not.

    A file named manifest.json is not enough (other software writes one too): it must name a kind of run.
    """
    for name in (MANIFEST, STARTED):
        try:
            facts = read_json(path / name)
        except (OSError, InputError):
            continue
        if isinstance(facts, dict) and facts.get("kind") in KINDS:
            return True
    return False


def start_run(
    path: Path,
    settings: Mapping[str, Any],
    *,
    overwrite: bool = False,
    resume: bool = False,
    reads: Iterable[str | Path] = (),
) -> Path:
    """Make a run folder, or go on in one.

    Args:
        path: The folder.
        settings: What decides the run.
        overwrite: Remove a run that is there.
        resume: Go on in a run that is there.
        reads: Models (also names that are no folder) and earlier runs that this one reads.

    Raises:
        ExistsError: The folder holds something and neither `overwrite` nor `resume` was asked for, or what
            it holds is no run of ours, or it is a link, which isn't overwritten, or it holds what is read.
        WriteFailed: The run that is there can't be removed.
    """
    if is_taken(path, but=LOCK):
        if not is_run(path):
            raise _foreign(path)
        if not (overwrite or resume):
            raise ExistsError(f"{path} holds a run. Choose another --out, or add --resume or --overwrite.")
        if overwrite:
            _remove(path, reads)
        _tidy(path)
    path.mkdir(parents=True, exist_ok=True)
    if not (path / STARTED).exists():
        write_json(path / STARTED, dict(settings))
    return path


def _tidy(path: Path) -> None:
    """Remove half files and half models, which only a kill leaves."""
    for half in path.glob(".*.part"):
        half.unlink(missing_ok=True)
    for half in path.glob(".model.*/"):
        shutil.rmtree(half, ignore_errors=True)


def _remove(path: Path, reads: Iterable[str | Path]) -> None:
    for given in reads:
        if str(given) and Path(given).resolve().is_relative_to(path.resolve()):
            raise ExistsError(
                f"--overwrite would remove {path}, and with it {given}, which this run reads. Choose another "
                "--out."
            )
    if path.is_symlink():
        raise ExistsError(f"{path} is a link, which --overwrite leaves alone; give --out {path.resolve()}.")
    last = {MANIFEST: 0, STARTED: 2}  # whatever a kill leaves is a run, and not a finished one
    try:
        for child in sorted(path.iterdir(), key=lambda child: last.get(child.name, 1)):
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            elif child.name != LOCK:
                child.unlink()
    except OSError as error:
        raise WriteFailed(
            f"Could not remove {path}: {error.strerror or error}. Choose another --out."
        ) from error


def _foreign(path: Path) -> ExistsError:
    return ExistsError(f"{path} exists and is no run of forgetwell; choose another --out.")


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes out of a run's folder, which is made, for the time inside.

    The system takes the lock back from a process that dies.

    Raises:
        Busy: Another process is working there.
        ExistsError: It is a file.
        WriteFailed: It can't be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / LOCK)
        lock.acquire(timeout=0)
    except FileExistsError:
        raise _foreign(path) from None
    except Timeout:
        raise Busy(f"Another process is working on {path}. Wait for it, or choose another --out.") from None
    except OSError as error:
        raise WriteFailed(
            f"Could not write {path}: {error.strerror or error}. Choose another --out."
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (path / LOCK).unlink()
        lock.release()


@contextlib.contextmanager
def held(path: Path, locks: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Keep other processes out of a run for the time inside.

    The system takes the lock back from a process that dies.

    Args:
        path: The run folder.
        locks: Folder for locks, the same for all processes that may make the run.
        waiting: Called where another process has it, before it is waited for; None = don't wait.

    Raises:
        Busy: Another process has it, and it is not to be waited for.
    """
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{digest(os.path.relpath(path, locks))}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting is None:
            raise Busy(f"Another process is working on {path}.") from None
        waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_done(path: Path, settings: Mapping[str, Any]) -> bool:
    """Say whether a folder holds the finished run of just these settings."""
    return (path / MANIFEST).is_file() and started_with(path, settings)


def started_with(path: Path, settings: Mapping[str, Any]) -> bool:
    """Say whether a folder holds a run of just these settings, finished or not."""
    return (path / STARTED).is_file() and digest(read_json(path / STARTED)) == digest(dict(settings))


def append_log(path: Path, record: Mapping[str, Any]) -> None:
    """Add one record to the training log.

    Raises:
        WriteFailed: The disk refused.
    """
    try:
        with (path / LOG).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
    except OSError as error:
        raise WriteFailed(
            f"Could not write {path / LOG}: {error.strerror or error}. Free some space and resume."
        ) from error


def trim_log(path: Path, step: int) -> None:
    """Drop records beyond `step`, and a line that a crash cut off, before a run goes on."""
    if (path / LOG).exists():
        write_jsonl(path / LOG, [r for r in read_jsonl(path / LOG) if r.get("step", step + 1) <= step])


def write_manifest(path: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest; its presence means that the run is complete."""
    environment = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), "system": platform.system()},
    }
    write_json(path / MANIFEST, {**facts, **environment})


def read_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of a complete run.

    Raises:
        InputError: It is damaged.
    """
    return read_object(path / MANIFEST)


def made_by(model: str | Path) -> str:
    """Return the SHA-256 of the manifest of the run that made a model; nothing where there is none."""
    made = Path(model) / MANIFEST
    return file_sha256(made) if made.is_file() else ""


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide numbers."""
    names = ("forgetwell", "torch", "transformers", "accelerate", "peft")
    return {"python": platform.python_version(), **{n: importlib.metadata.version(n) for n in names}}
