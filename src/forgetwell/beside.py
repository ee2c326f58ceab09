"""What a Python file of one's own is made of: itself, and the files beside it that it imports.

Read from the text, so that it is the same whatever a program has imported before.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

from forgetwell.errors import InputError
from forgetwell.files import file_sha256, sha256

_INSTALLED = ("site-packages", "dist-packages")  # names of folders that hold packages of all kinds


def code_files(file: Path) -> tuple[Path, ...]:
    """Return a file, and then those of its folder or package that it imports, and that these import."""
    file = file.resolve()
    found, left = {file: None}, [file]
    while left:
        for other in _imported(left.pop(), file):
            if other not in found:
                found[other] = None
                left.append(other)
    return (file, *sorted(found.keys() - {file}))


def code_digest(file: Path) -> str:
    """Return the SHA-256 of a file in hex; with files beside it, of their names and theirs."""
    files = code_files(file)
    if len(files) == 1:
        return file_sha256(file)
    # Names from the folder of packages: the digest stays where everything is moved.
    held = [[path.relative_to(_top(files[0])).as_posix(), file_sha256(path)] for path in files]
    return sha256(held).removeprefix("sha256:")


def _imported(file: Path, first: Path) -> Iterator[Path]:
    """Give the files that a file's imports name, wherever in its text they stand."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # who runs it is told
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield from _absolute(name.name.split("."), first)
        elif isinstance(node, ast.ImportFrom):
            module = node.module.split(".") if node.module else []
            for name in node.names:
                parts = [*module, name.name]
                if node.level:
                    yield from _named(file.parents[node.level - 1], parts)
                else:
                    yield from _absolute(parts, first)


def _absolute(parts: Sequence[str], first: Path) -> Iterator[Path]:
    top = _top(first)
    # Beside an installed file lies whatever else is installed: only its own package is its own.
    if top.name not in _INSTALLED or first.relative_to(top).parts[0] in (parts[0], f"{parts[0]}.py"):
        yield from _named(top, parts)
    if first.parent != top:
        yield from _named(first.parent, parts)


def _named(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Give the modules on the way along a dotted name, whose end may be no module."""
    for part in parts:
        if (folder / part / "__init__.py").is_file():
            yield folder / part / "__init__.py"
        elif (folder / f"{part}.py").is_file():
            yield folder / f"{part}.py"
            return
        folder /= part


def _top(file: Path) -> Path:
    """Return the folder in which a file's package lies, or the file itself."""
    folder = file.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def module_names(file: Path) -> dict[str, Path]:
    """Return the names by which a file imports what lies in its own folder, each with its place."""
    folder = file.resolve().parent
    beside = (f.relative_to(folder).parts[0] for f in code_files(file)[1:] if f.is_relative_to(folder))
    return {name.removesuffix(".py"): folder / name for name in beside}


def check_free(name: str, loaded: str | None, own: Sequence[Path]) -> None:
    """Refuse a module's name that another one has.

    Args:
        name: Of the module.
        loaded: File of the module that has the name now.
        own: Files and folders that may have it: those beside files of one's own.

    Raises:
        InputError: It is of something else.
    """
    place = Path(loaded).resolve() if loaded else None
    if place is None or not any(place == path or place.is_relative_to(path) for path in own):
        raise InputError(
            f"It imports {name} from beside it, and there is another module of that name, "
            f"{loaded or 'of Python itself'}. Give the file beside it another name."
        )
