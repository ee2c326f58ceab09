"""Errors a user can act on.

Each says what was given, what was expected and what to do next. The command line prints the message
without a traceback and exits with 2. Each class also is the standard exception it stands for, so
``except ValueError`` keeps working.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class ForgetwellError(Exception):
    """Base of all errors that are about the user's input or machine, not about our code."""


class InputError(ForgetwellError, ValueError):
    """A file, row, flag or value can't be used as given."""


class MissingError(ForgetwellError, FileNotFoundError):
    """A file, folder, model or data set isn't there."""


class UnknownName(ForgetwellError, KeyError):
    """No registered item has this name."""

    def __str__(self) -> str:
        """Return the message itself (KeyError would quote it)."""
        return str(self.args[0]) if self.args else ""


class ExistsError(ForgetwellError, FileExistsError):
    """Writing would replace something that nobody asked to replace."""


class Busy(ForgetwellError, RuntimeError):
    """Another process is at it just now."""


class Diverged(ForgetwellError, ArithmeticError):
    """Training produced NaN or infinity."""


class RunsFailed(ForgetwellError, RuntimeError):
    """Some runs of a plan could not be finished; the others were."""


@contextmanager
def told(program: str, *, first: Callable[[str], bool] = lambda message: True) -> Iterator[None]:
    """Where something inside is for the user to set right, end the process with one plain line and code 2.

    Args:
        program: Stands before the line.
        first: Of several processes, whether this is the one that says it.
    """
    try:
        yield
    except ForgetwellError as error:
        message = str(error)
    except BrokenPipeError:  # who reads the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:  # a disk or a path, wherever it was noticed
        path = f" {error.filename}" if error.filename else ""
        message = f"Can't read or write{path}: {error.strerror or error}."
    else:
        return
    if first(message):
        print(f"{program}: {message}", file=sys.stderr)
    sys.exit(2)


def unknown_name(kind: str, given: str, valid: Iterable[str]) -> UnknownName:
    """Return an `UnknownName` with the nearest valid names first, whatever their case, then all of them."""
    names = sorted(valid)
    lowered: dict[str, list[str]] = {}
    for name in names:
        lowered.setdefault(name.lower(), []).append(name)
    close = difflib.get_close_matches(given.lower(), lowered, n=3, cutoff=0.5)
    near = [name for match in close for name in lowered[match]]
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    return UnknownName(f"No {kind} is named {given!r}.{hint} Known: {', '.join(names) or 'none'}.")
