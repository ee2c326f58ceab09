"""What every command takes: ``--config run.toml``, flags from a file, and ``--use mine.py``, own items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError, MissingError
from forgetwell.files import read_toml

FLAG = "--config"
USE = "--use"


def expand(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``--config FILE`` replaced by the file's flags; flags typed beside it win.

    A key is a flag's name (``max_steps`` or ``max-steps``); true and false switch a flag on and off, a list
    gives it several times.

    Raises:
        MissingError: There is no such file.
        InputError: It isn't flat TOML, or no file is named.
    """
    typed = list(arguments)
    if FLAG not in typed:
        return typed
    place = typed.index(FLAG)
    if place + 1 == len(typed):
        raise InputError(f"{FLAG} needs a file: {FLAG} run.toml.")
    table = _read(Path(typed[place + 1]))
    rest = typed[:place] + typed[place + 2 :]
    given = {word.partition("=")[0].replace("--no-", "--", 1) for word in rest if word.startswith("--")}
    added = (_words(key, value) for key, value in table.items() if _flag(key) not in given)
    return [*rest, *(word for words in added for word in words)]


def take_used(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments without ``--use FILE`` (or ``--use=FILE``), and the files so named.

    Raises:
        InputError: No file is named.
    """
    rest: list[str] = []
    files: list[str] = []
    words = iter(arguments)
    for word in words:
        name, joined, value = word.partition("=")
        if name != USE:
            rest.append(word)
            continue
        file = value if joined else next(words, "")
        if not file or file.startswith("-"):
            raise InputError(f"{USE} needs a Python file with items of your own: {USE} mine.py.")
        files.append(file)
    return rest, files


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise MissingError(f"There is no file {path}. {FLAG} takes a TOML file with flags, as epochs = 5.")
    table = read_toml(path)
    nested = [k for k, v in table.items() if isinstance(v, dict)]
    if nested:
        raise InputError(f"{path}: {nested[0]!r} is a table; write flat lines, as lr = 2e-5.")
    return table


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def _words(key: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - any TOML value
    if isinstance(value, bool):
        yield _flag(key) if value else _flag(key).replace("--", "--no-", 1)
        return
    for item in value if isinstance(value, list) else [value]:
        yield f"{_flag(key)}={item}"
