"""Rows and requests from wherever they are named: files, benchmarks, the hub, the built-in world."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from forgetwell.data.benchmarks import SCHEMES, resolve
from forgetwell.data.columns import check_used
from forgetwell.data.hub import hub_columns
from forgetwell.data.row_files import file_columns, read_file
from forgetwell.errors import InputError
from forgetwell.files import digest
from forgetwell.types import Request, Row


def read_rows(
    source: str | Path, *, columns: Mapping[str, str] | None = None, limit: int | None = None
) -> tuple[Row, ...]:
    """Read rows from a file (.jsonl, .jsonl.gz, .json, .csv, .parquet) or by name (``tofu:forget10``).

    Args:
        source: File, or ``tofu:…``, ``rwku:…``, ``hub:owner/name``, ``world:request``.
        columns: Our names to the file's, as {"prompt": "q"}; see `parse_columns`. They count for a file that
            has them all; names, and files that are understood without them, are read as they are.
        limit: Read at most this many rows.

    Raises:
        MissingError: There is no such file.
        InputError: A line can't be used; the message names file, line (from 1) and column.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit} was given; it must be at least 1.")
    if _is_name(source):
        return resolve(str(source), columns=columns, limit=limit)
    return read_file(Path(source), columns=columns, limit=limit)


def check_columns(columns: Mapping[str, str], sources: Iterable[str | Path]) -> None:
    """Refuse columns that none of the sources of a command has; `read_rows` can't see the others.

    Raises:
        MissingError: There is no such file.
        InputError: No file has the columns, or one can't be read.
    """
    found = {}
    for source in sources if columns else ():
        if str(source).startswith("hub:"):
            found[str(source)] = hub_columns(str(source).removeprefix("hub:"))
        elif not _is_name(source):
            found[str(source)] = file_columns(Path(source))
    check_used(columns, found)


def _is_name(source: str | Path) -> bool:
    return isinstance(source, str) and source.startswith(tuple(f"{scheme}:" for scheme in SCHEMES))


def read_request(source: str | Path, *, columns: Mapping[str, str] | None = None) -> Request:
    """Read a request; its id is the file's stem.

    Raises:
        MissingError: There is no such file.
        InputError: A line can't be used, or a plain text has a prompt: training would read it, but what
            looks for attacks and undoes them reads the text alone.
    """
    stem = Path(source).name.split(".")[0].replace(":", "-")
    rows = read_rows(source, columns=columns)
    for row in rows:
        if row.text and row.prompt:
            raise InputError(
                f"{source}: row {row.id!r} is plain text with a prompt before it, which a request can't "
                "have; put it at the beginning of the text."
            )
    return Request(stem, rows)


def request_digest(request: Request) -> str:
    """Return a digest of a request's rows and repairs, whatever its file is called.

    Rows without an id are called after the file, so that the file's name doesn't count where an id begins
    with it: the same rows handed in again under another name are the same request.
    """
    rows = [replace(row, id=row.id.removeprefix(request.id)) for row in request.rows]
    return digest([rows, request.history])
