"""Whether a run that is there is the run that is meant, setting by setting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError
from forgetwell.files import plain, read_json
from forgetwell.methods.finetune import Lora
from forgetwell.runs.folder import MANIFEST, STARTED
from forgetwell.runs.records import is_complete
from forgetwell.training.config import TrainConfig

Settings = Mapping[str, Any]
# What a part that a run has was, where the run is older than it.
_DEFAULTS: Mapping[str, Settings] = {"config": asdict(TrainConfig()), "lora": asdict(Lora())}
_OWN = "own_code"  # is left out of the settings of runs that need none
_DIGESTS = ("data", "digest", "templates", "others")


def check_same(folder: Path, settings: Settings, learning: Settings | None = None) -> None:
    """Refuse a run of other settings, finished or just made by another process; nothing there is fine.

    A setting that did not exist when the run was made had the value that stands for nothing, or its default.

    Args:
        folder: Where the run lies.
        settings: What the run that is meant depends on.
        learning: Settings of the run that its starting model comes from, by which models are told apart
            wherever they lie; None = by their names.

    Raises:
        InputError: The run has other settings; the message names them.
    """
    finished = is_complete(folder)
    if not finished and not (folder / STARTED).is_file():
        return
    made = read_json(folder / (MANIFEST if finished else STARTED))
    names = [name for name in dict.fromkeys((*settings, _OWN)) if learning is None or name != "model"]
    differing = [*_differing(made, settings, names), *(_other_start(folder, made, settings, learning))]
    if differing:
        what = "holds a finished run" if finished else "is being made by another process"
        raise InputError(
            f"{folder} {what} with other settings ({'; '.join(differing)}). Choose another folder, as with "
            "--out, or remove that one."
        )


def learned_settings(model: Path) -> Settings | None:
    """Return the settings of the run that a starting model comes from; None where its folder is no run."""
    found: Settings | None = read_json(model / STARTED) if (model / STARTED).is_file() else None
    return found


def _differing(made: Settings, meant: Settings, names: Iterable[str]) -> Iterator[str]:
    """Give the settings that differ, with both values where they can be read."""
    for name in names:
        old, new = plain(made.get(name)), plain(meant.get(name))
        if isinstance(old, dict) and isinstance(new, dict):
            old = {**_DEFAULTS.get(name, {}), **old}
            inner = dict.fromkeys((*new, *old))
            if name == _OWN:
                yield from (f"the code of {item}" for item in inner if old.get(item) != new.get(item))
            else:
                yield from (f"{name}.{change}" for change in _differing(old, new, inner))
        elif (old or None) != (new or None):
            yield _change(name, old, new)


def _change(name: str, old: object, new: object) -> str:
    if name in _DIGESTS or isinstance(old, dict | list) or isinstance(new, dict | list):
        return name
    return f"{name} {'nothing' if old in (None, '') else old}, now {'nothing' if new in (None, '') else new}"


def _other_start(folder: Path, made: Settings, meant: Settings, learning: Settings | None) -> Iterator[str]:
    """Give how the starting model was learned otherwise; its folder may have been moved with the runs."""
    if learning is None:
        return
    start = Path(str(made.get("model")))
    learned = learned_settings(start) or learned_settings(folder.parent.parent / start.name)
    if learned is not None:
        old, new = _with_rows(learned), _with_rows(learning)
        yield from (f"learned: {name}" for name in _differing(old, new, dict.fromkeys((*new, *old))))
    elif start.name != Path(str(meant["model"])).name:
        yield _change("model", made.get("model"), meant["model"])


def _with_rows(learning: Settings) -> Settings:
    """Leave out what has no rows: a digest of nothing changes with the type that held it."""
    return {k: v for k, v in learning.items() if not (isinstance(v, Mapping) and v.get("rows") == 0)}
