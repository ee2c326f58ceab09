"""Rows from files: JSONL, JSON, CSV and Parquet. All text is data; nothing in it is run or fetched."""

from __future__ import annotations

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from itertools import islice
from pathlib import Path
from typing import IO, Any, TypeVar

from forgetwell.data.columns import mapping_for, to_row
from forgetwell.errors import InputError, MissingError
from forgetwell.files import check_new, plain, write_jsonl
from forgetwell.types import Row

MAX_LINE = 10_000_000  # bytes; a longer line is no row but a mistake or an attack
_WRITTEN = (".jsonl", ".jsonl.gz")
ENDINGS = (*_WRITTEN, ".json", ".csv", ".parquet")

T = TypeVar("T")


def read_file(
    path: Path, *, columns: Mapping[str, str] | None = None, limit: int | None = None
) -> tuple[Row, ...]:
    """Read rows from a file; see `forgetwell.data.reading.read_rows`.

    Raises:
        MissingError: There is no such file.
        InputError: A line can't be used; the message names file, line (from 1) and column.
    """
    _check_there(path)
    return rows_of(islice(_records(path), limit), str(path), path.name.split(".")[0], columns)


def file_columns(path: Path) -> tuple[str, ...]:
    """Return the names of a file's columns, those of its first record.

    Raises:
        MissingError: There is no such file.
        InputError: It can't be read.
    """
    _check_there(path)
    _, first = next(_records(path), (0, {}))
    return tuple(first) if isinstance(first, dict) else ()


def read_records(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, Any]]]:
    """Return a file's records, numbered from 1, with all their columns as they are; `columns` must be there.

    Raises:
        MissingError: There is no such file.
        InputError: It can't be read, or a record is no object or lacks a column.
    """
    _check_there(path)
    records = list(_records(path))
    for number, record in records:
        missing = [c for c in columns if not isinstance(record, dict) or c not in record]
        if missing:
            raise InputError(f"{path}, line {number}: expected an object with a column {missing[0]!r}.")
    return records


def thinned(items: Sequence[T], limit: int | None) -> Sequence[T]:
    """Return at most `limit` items, spread evenly.

    Raises:
        InputError: The limit is below 1.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit} was given; it must be at least 1.")
    if limit is None or len(items) <= limit:
        return items
    return [items[k * len(items) // limit] for k in range(limit)]


def rows_of(
    records: Iterable[tuple[int, Any]], name: str, stem: str, columns: Mapping[str, str] | None
) -> tuple[Row, ...]:
    """Return checked rows of numbered records; rows without an id get ``stem-number``."""
    rows: list[Row] = []
    seen: dict[str, int] = {}
    mapping = columns or {}
    for number, record in records:
        if not rows:
            mapping = mapping_for(record, mapping)
        row = to_row(record, f"{stem}-{number}", f"{name}, line {number}", mapping)
        if row.id in seen:
            raise InputError(
                f"{name}, line {number}: column 'id': {row.id!r} is also on line {seen[row.id]}."
            )
        seen[row.id] = number
        rows.append(row)
    if not rows:
        raise InputError(f"{name} is empty; at least one row is needed.")
    return tuple(rows)


def check_output(path: Path, *, overwrite: bool) -> None:
    """Find out before the work whether its rows can be written to a file.

    Raises:
        InputError: The name has no ending of files that rows are written to.
        ExistsError: The file is there and isn't to be overwritten.
    """
    if not path.name.lower().endswith(_WRITTEN):
        raise InputError(f"Rows are written as JSON Lines; {path} must end with {' or '.join(_WRITTEN)}.")
    check_new(path, overwrite=overwrite)


def write_rows(path: str | Path, rows: Iterable[Row]) -> None:
    """Write rows as JSONL, whole or not at all, without fields that have their default value.

    Raises:
        InputError: The name doesn't end with .jsonl or .jsonl.gz.
    """
    check_output(Path(path), overwrite=True)
    write_jsonl(Path(path), lean_rows(rows))


def lean_rows(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return rows as JSON objects without fields that have their default value."""
    return [_lean(row) for row in rows]


def _lean(row: Row) -> dict[str, Any]:
    pairs = ((f, plain(getattr(row, f.name))) for f in fields(row))
    return {f.name: value for f, value in pairs if f.default is MISSING or value != plain(f.default)}


def _check_there(path: Path) -> None:
    known = f"known endings: {', '.join(ENDINGS)}"
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a file with rows in it; {known}.")
    if not path.is_file():
        raise MissingError(f"There is no file {path}. Check the path; {known}.")


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    name = path.name.lower()
    if name.endswith(_WRITTEN):
        return _jsonl(path)
    if name.endswith(".json"):
        return _json(path)
    if name.endswith(".csv"):
        return _csv(path)
    if name.endswith(".parquet"):
        return _parquet(path)
    raise InputError(
        f"{path}: unknown ending; expected one of {', '.join(ENDINGS)}. Plain text goes into a column text, "
        'as {"text": "…"} on a line of a .jsonl file.'
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    offset, number = 0, 0
    with _open(path) as stream:
        try:
            for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE + 1), b""), start=1):
                if len(line) > MAX_LINE:
                    raise InputError(
                        f"{path}, line {number} is longer than {MAX_LINE} bytes; split the file."
                    )
                yield number, _decode(line, path, number, offset)
                offset += len(line)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InputError(
                f"{path} is not a whole gzip file, broken after line {number}: {error}."
            ) from None


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _decode(line: bytes, path: Path, number: int, offset: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        at = offset + error.start
        raise InputError(f"{path}, line {number}: not UTF-8 at byte {at}; save the file as UTF-8.") from None


def _jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    for number, line in _lines(path):
        if line.strip():
            yield number, _parsed(line, f"{path}, line {number}")


def _json(path: Path) -> Iterator[tuple[int, Any]]:
    value = _parsed("".join(line for _, line in _lines(path)), str(path))
    if not isinstance(value, list):
        raise InputError(f"{path}: expected a JSON list of objects, got {type(value).__name__}.")
    yield from enumerate(value, start=1)


def _parsed(text: str, where: str) -> Any:  # noqa: ANN401 - any JSON value
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON at character {error.pos + 1}: {error.msg}.") from None
    except (RecursionError, ValueError) as error:
        raise InputError(f"{where}: not readable JSON: {error}.") from None


def _csv(path: Path) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(min(MAX_LINE, sys.maxsize))
    reader = csv.DictReader((line for _, line in _lines(path)), strict=True)
    try:
        for record in reader:
            number = reader.line_num
            if None in record or None in record.values():
                raise InputError(f"{path}, line {number}: the number of cells differs from the header's.")
            yield number, {name: cell or None for name, cell in record.items()}  # blank: as if not there
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not CSV: {error}.") from None


def _parquet(path: Path) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        file = pq.ParquetFile(path)
        records = (r for batch in file.iter_batches(batch_size=1024) for r in batch.to_pylist())
        for number, record in enumerate(records, start=1):
            yield number, record
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(
            f"{path} is no readable Parquet file, broken after row {number}: {reason}."
        ) from None
