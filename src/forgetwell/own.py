"""Code of one's own: a Python file that is named, or an installed package that says it extends forgetwell.

Both register items by the decorators of `forgetwell.extend`. Nothing else is ever run: no request, plan, run
folder or model can name code.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from forgetwell.beside import check_free, code_digest, module_names
from forgetwell.errors import ForgetwellError, InputError, MissingError
from forgetwell.files import digest

GROUP = "forgetwell"  # of entry points
_USED: dict[Path, str] = {}  # files that were run, with the digest of what they held
_INSTALLED: set[str] = set()  # entry points that were loaded


def use(path: str | Path) -> None:
    """Run a Python file, so that what it registers can be named everywhere; again only if it has changed.

    It may import files beside it, as a program does; they count as part of it. It runs with all rights of
    this program: name only files that you would run yourself.

    Raises:
        MissingError: There is no such file.
        InputError: It is no Python file, or it raised an error; the message names the line.
    """
    file = Path(path).resolve()
    if not file.is_file():
        raise MissingError(f"There is no file {path}. Give a Python file that registers items of your own.")
    if file.suffix != ".py":
        raise InputError(f"{path} is no Python file (.py), which items of your own are written in.")
    content = file.read_bytes()
    held = code_digest(file)
    if _USED.get(file) == held:
        return
    name = f"forgetwell_own_{file.stem}_{digest(str(file))[:8]}"
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # annotations are read from there
    try:
        # Not by an import: that takes bytecode kept for a file of this size and second, whatever it holds.
        with _importing_beside(file):
            exec(compile(content, str(file), "exec"), module.__dict__)
    except Exception as error:
        del sys.modules[name]
        raise InputError(f"{path}{_line(error, file)} can't be used: {_said(error)}") from error
    _USED[file] = held


@contextlib.contextmanager
def _importing_beside(file: Path) -> Iterator[None]:
    """Let a file import what lies beside it, as it is now, for the time inside.

    Raises:
        InputError: A module of that name is there, which is another one.
    """
    names = module_names(file)
    own = [place for path in (*_USED, file) for place in module_names(path).values()]
    for name in names.keys() & sys.modules.keys():
        check_free(name, getattr(sys.modules[name], "__file__", None), own)
    for loaded in [m for m in sys.modules if m.partition(".")[0] in names]:
        del sys.modules[loaded]  # of before a change, or of a file in another folder
    kept = sys.dont_write_bytecode
    sys.path.insert(0, str(file.parent))
    sys.dont_write_bytecode = True  # it would be taken for a file of that size and second, whatever it holds
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = kept
        sys.path.remove(str(file.parent))


def used() -> tuple[Path, ...]:
    """Return the files that `use` has run, for other processes that need the same items."""
    return tuple(_USED)


def use_installed() -> None:
    """Import what installed packages register: entry points of the group ``forgetwell`` name modules.

    Raises:
        InputError: One can't be imported; the message names its package.
    """
    for point in _entry_points():
        if point.value in _INSTALLED:
            continue
        _INSTALLED.add(point.value)  # first: it registers items, which comes back here
        try:
            point.load()
        except Exception as error:
            _INSTALLED.discard(point.value)
            package = point.dist.name if point.dist else point.value
            raise InputError(
                f"The installed package {package} says that it extends forgetwell, and its {point.value} "
                f"can't be imported: {_said(error)} Mend or uninstall it."
            ) from error


@functools.cache
def _entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=GROUP))


def _line(error: Exception, file: Path) -> str:
    """Return the last line of a file that an error came through, as ":12"."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}" if error.lineno else ""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == file]
    return f":{lines[-1]}" if lines else ""


def _said(error: Exception) -> str:
    text = str(error) if isinstance(error, ForgetwellError) else f"{type(error).__name__}: {error}"
    return text if text.endswith((".", "!", "?")) else f"{text}."
