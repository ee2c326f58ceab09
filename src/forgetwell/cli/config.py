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

    ``--config=FILE`` is the same. A key is a flag's name (``max_steps`` or ``max-steps``); true and false
    switch a flag on and off, a list gives it several times.

    Raises:
        MissingError: There is no such file.
        InputError: It isn't flat TOML, or not one file is named.
    """
    rest, files = _take(FLAG, arguments, f"{FLAG} needs a file: {FLAG} run.toml.")
    if not files:
        return rest
    if len(files) > 1:
        raise InputError(f"{FLAG} was given {len(files)} times; put all flags into one file.")
    table = _read(Path(files[0]))
    given = {word.partition("=")[0].replace("--no-", "--", 1) for word in rest if word.startswith("--")}
    added = (_words(key, value) for key, value in table.items() if _flag(key) not in given)
    return [*rest, *(word for words in added for word in words)]


def take_used(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments without ``--use FILE`` (or ``--use=FILE``), and the files so named.

    Raises:
        InputError: No file is named.
    """
    needs = f"{USE} needs a Python file with items of your own: {USE} mine.py."
    return _take(USE, arguments, needs)


def _take(flag: str, arguments: Sequence[str], needs: str) -> tuple[list[str], list[str]]:
    """Return the arguments without a flag that may be given several times, and its values."""
    rest: list[str] = []
    files: list[str] = []
    words = iter(arguments)
    for word in words:
        name, joined, value = word.partition("=")
        if name != flag:
            rest.append(word)
            continue
        file = value if joined else next(words, "")
        if not file or (not joined and file.startswith("-")):
            raise InputError(needs)
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
