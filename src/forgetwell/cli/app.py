"""The application and what its commands share; each command parses, calls and prints."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, get_args

from cyclopts import App, Parameter, Token, convert

if TYPE_CHECKING:
    from forgetwell.types import Progress, Request, Row


def _converted(type_: Any, tokens: Sequence[Token]) -> Any:  # noqa: ANN401 - any parameter's type
    """Convert a flag as cyclopts does; but 2.5 is not rounded where a whole number is needed."""
    whole = type_ is int or (int in get_args(type_) and float not in get_args(type_))
    for token in tokens if whole else ():
        if token.value.partition(".")[2].strip("0"):
            raise ValueError(f"a whole number is needed, not {token.value}.")
    return convert(type_, tokens)


app = App(
    name="forgetwell",
    default_parameter=Parameter(converter=_converted),
    help="LLM unlearning that survives malicious forget requests.",
    help_epilogue=(
        "Every command also takes --config FILE.toml, a file with its flags, and --use FILE.py, a file with "
        "terms, metrics, attacks, … of your own."
    ),
    suppress_keyboard_interrupt=False,  # the command line tells how to go on
)
# Flags that take several values behind one name, or the name several times.
Sources = Annotated[list[str], Parameter(consume_multiple=True)]
Several = Annotated[list[str] | None, Parameter(consume_multiple=True)]
AsJson = Annotated[bool, Parameter("--json")]
FAILED = 3  # exit code of a verdict that is not the hoped-for one


def rows_from(sources: str | Sequence[str], columns: str | None = None) -> tuple[Row, ...]:
    """Read rows from files or by name, one source after the other."""
    from forgetwell.data.reading import read_rows

    named = named_columns(columns)
    each = (sources,) if isinstance(sources, str) else sources
    return tuple(row for source in each for row in read_rows(source, columns=named))


def read_request_from(source: str, columns: str | None = None) -> Request:
    """Read a request from a file or by name."""
    from forgetwell.data.reading import read_request

    return read_request(source, columns=named_columns(columns))


def check_columns(columns: str | None, *sources: str | Sequence[str] | None) -> None:
    """Refuse --columns that none of a command's files has."""
    from forgetwell.data.reading import check_columns

    each = [(s,) if isinstance(s, str) else s for s in sources if s]
    check_columns(named_columns(columns), [source for part in each for source in part])


def named_columns(columns: str | None) -> dict[str, str]:
    """Return what --columns says: our names to the files'."""
    from forgetwell.data.columns import parse_columns

    return parse_columns(columns) if columns else {}


def is_first_process() -> bool:
    """Say whether this is the process that speaks to the user."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str, *, aside: bool = False) -> None:
    """Print once, however many processes work; an aside doesn't mix with what a program reads."""
    if is_first_process():
        print(text, file=sys.stderr if aside else sys.stdout)


def say_compute(dtype: str) -> None:
    """Say which type products were computed in, and why."""
    from forgetwell.models.hardware import pick_dtype

    say(f"Computed in {pick_dtype(dtype)}.")


@contextmanager
def progress_bar(what: str) -> Iterator[Progress]:
    """Show a bar on a terminal, nothing elsewhere or on further processes."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(console=console, disable=not (console.is_terminal and is_first_process())) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, steps: bar.update(task, completed=done, total=steps or None)
