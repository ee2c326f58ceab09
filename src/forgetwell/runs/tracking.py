"""Training logs also to trackers (TensorBoard, Weights & Biases, …), through accelerate's own classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError, unknown_name

Log = Callable[[Mapping[str, Any]], None]
PROJECT = "forgetwell"


def check_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that accelerate does not know or whose package is not installed.

    Raises:
        UnknownName: There is no such tracker.
        InputError: Its package is missing.
    """
    if not names:
        return
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    here = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in LOGGER_TYPE_TO_CLASS:
            raise unknown_name("tracker", name, LOGGER_TYPE_TO_CLASS)
        if name not in here:
            raise InputError(f"--report-to {name} needs a package that is not installed: pip install {name}.")


@contextmanager
def tracked(names: Sequence[str], run: Path, settings: Mapping[str, Any]) -> Iterator[Log]:
    """Give what takes each record of the training log and passes its numbers on; without names, nothing.

    Settings go along as flat values, never a row's text. Files of local trackers lie under ``trackers/`` in
    the run folder.

    Args:
        names: As accelerate calls them: tensorboard, wandb, mlflow, comet_ml, …
        run: The run folder, whose name the run gets.
        settings: What the run was made from.

    Raises:
        UnknownName: There is no such tracker.
        InputError: Its package is missing.
    """
    check_trackers(names)
    with ExitStack() as ending:
        opened = [_open(name, run) for name in dict.fromkeys(names)]
        for tracker in opened:
            tracker.start()
            ending.callback(tracker.finish)
            tracker.store_init_configuration({"run": str(run), **flat(settings)})

        def log(record: Mapping[str, Any]) -> None:
            numbers = {k: v for k, v in flat(record).items() if isinstance(v, int | float) and k != "step"}
            for tracker in opened:
                tracker.log(numbers, step=record["step"])

        yield log


def _open(name: str, run: Path) -> Any:  # noqa: ANN401 - accelerate is untyped
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    kind = LOGGER_TYPE_TO_CLASS[name]
    if kind.requires_logging_directory:
        return kind(PROJECT, run / "trackers")
    return kind(PROJECT, **({"name": run.name} if name == "wandb" else {}))


def flat(values: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Return nested values with names such as ``probe/forget.rouge_l_recall``, as trackers take them.

    Anything but a number, a truth value or a text becomes text; None is left out.
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, prefix=f"{name}/")
        elif value is not None:
            found[name] = value if isinstance(value, bool | int | float | str) else str(value)
    return found
