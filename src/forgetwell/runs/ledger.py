"""An append-only ledger in one SQLite file: what was asked, screened, repaired, run, decided and released.

Entries hold digests, counts and numbers, never text of a request. Each entry carries the hash of the one
before it, so that a changed or removed entry shows. Removing the *newest* entries leaves a whole, shorter
chain: it shows only against a head hash kept elsewhere, which is why every decision record holds one.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from forgetwell.errors import ExistsError, InputError, MissingError
from forgetwell.files import WriteFailed, atomic_path, digest, plain

Kind = Literal["request", "screening", "repair", "run", "evaluation", "decision", "release"]
KINDS: tuple[str, ...] = get_args(Kind)
_ACTS = ("decision", "release")  # each is recorded, also one like an earlier one
_APPLICATION = 0x666F7267  # marks our files among other SQLite files
_WAIT = 60.0  # seconds for another writer
_COLUMNS = "number, time, kind, body, previous, hash"
_RESTORE = "Restore the file from a copy; nothing is decided on a changed ledger."
_SCHEMA = """
CREATE TABLE entries (
  number INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
  previous TEXT NOT NULL, hash TEXT NOT NULL UNIQUE);
CREATE TRIGGER no_update BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER no_delete BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger.

    Attributes:
        number: Place in the chain, from 1.
        time: When it was written (UTC, ISO 8601).
        kind: What it records.
        body: Digests, counts and numbers.
        previous: Hash of the entry before; "" for the first.
        hash: SHA-256 of all of the above, in hex.
    """

    number: int
    time: str
    kind: str
    body: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Whether a ledger is whole.

    Attributes:
        entries: Number of entries.
        head: Hash of the last entry; "" where there is none.
        broken: Number of the first entry that does not follow from the one before; None where all do.
    """

    entries: int
    head: str
    broken: int | None


Addition = tuple[Kind, Mapping[str, Any]]


class Moved(InputError):
    """The ledger has entries that a decision has not seen."""


def append(path: Path, additions: Iterable[Addition], *, after: str | None = None) -> tuple[Entry, ...]:
    """Add entries, all or none of them; where there is no file, it appears with them or not at all.

    Writers wait for each other, so that entries of concurrent writers form one chain. Facts that the ledger
    has are left out; decisions and releases are always added. Nothing is ever changed: a later decision on
    the same model stands beside the earlier one and supersedes it.

    Args:
        path: The ledger.
        additions: Kinds and bodies.
        after: Hash of the last entry that they were made knowing ("" = of none); by default any.

    Raises:
        Moved: `after` is no longer the last entry; nothing was added.
        InputError: The file is no ledger, or empty, or its chain is broken.
        WriteFailed: The disk refused, or another writer held the file for a minute; nothing was added.
    """
    try:
        if not path.exists():
            additions = tuple(additions)
            with suppress(ExistsError), atomic_path(path.resolve(), replace=False) as new:
                return _write(new, path, additions, after, new=True)
            # Another process was first: its entries come before ours.
        return _write(path, path, additions, after)
    except (OSError, sqlite3.OperationalError) as error:
        if isinstance(error, InputError):
            raise
        raise WriteFailed(f"Could not write {path}: {error}. Nothing was added; try again.") from error


def read(path: Path) -> tuple[Entry, ...]:
    """Return all entries, oldest first, whether or not the chain holds.

    Entries that no writer of ours leaves are given as well, with what can be read of them.

    Raises:
        MissingError: There is no such file.
        InputError: It is no ledger, or empty.
    """
    if not path.is_file():
        raise MissingError(
            f"There is no ledger {path}. Give the file that screen, repair or gate was given with --ledger."
        )
    try:
        with _opened(path, "ro") as connection:
            return _entries(connection, path)
    except sqlite3.OperationalError:  # a writer was killed: its half entry is taken back by who may write
        return _read_after_a_kill(path)


def verify(entries: Iterable[Entry]) -> Chain:
    """Recompute every hash: ``hash = SHA-256([number, time, kind, body, previous])`` over canonical JSON."""
    previous, count, broken = "", 0, None
    for count, entry in enumerate(entries, 1):
        follows = entry.number == count and entry.previous == previous
        if broken is None and not (follows and entry.hash == _hash(entry)):
            broken = count
        previous = entry.hash
    return Chain(count, previous, broken)


def require_whole(path: Path, entries: Iterable[Entry]) -> Chain:
    """Return the chain.

    Raises:
        InputError: An entry was changed or removed.
    """
    chain = verify(entries)
    if chain.broken is not None:
        raise InputError(
            f"The ledger {path} was changed: entry {chain.broken} does not follow from the one before it. "
            f"{_RESTORE}"
        )
    return chain


def history_of(path: Path) -> tuple[Entry, ...]:
    """Return the entries of a ledger whose chain holds; none where there is no file yet.

    Raises:
        InputError: The file is no ledger or empty, or an entry was changed or removed.
    """
    entries = read(path) if path.is_file() else ()
    require_whole(path, entries)
    return entries


def root_of(entries: Iterable[Entry], model: str) -> str:
    """Return the digest of the model from which, over all recorded runs, a model came.

    A model that no run made is its own root. Where several runs made a model of the same digest, the
    earliest counts.
    """
    made: dict[str, str] = {}
    for entry in entries:
        if entry.kind == "run":
            made.setdefault(entry.body["made"], entry.body["from"])
    seen = {model}
    while model in made and made[model] not in seen:
        model = made[model]
        seen.add(model)
    return model


def _write(
    file: Path, path: Path, additions: Iterable[Addition], after: str | None, *, new: bool = False
) -> tuple[Entry, ...]:
    """Add entries to a file which is, or becomes, the ledger at `path`."""
    with _opened(file, "rw") as connection:
        connection.execute("BEGIN IMMEDIATE")
        if new:
            _make(connection)
        history = _entries(connection, path)
        head = require_whole(path, history).head
        if after is not None and head != after:
            raise Moved(f"Another process wrote to {path} meanwhile. Nothing was added; try again.")
        written = tuple(_insert(connection, kind, body) for kind, body in _new(additions, history))
        connection.execute("COMMIT")
        return written


def _read_after_a_kill(path: Path) -> tuple[Entry, ...]:
    try:
        with _opened(path, "rw") as connection:
            return _entries(connection, path)
    except sqlite3.OperationalError as error:
        raise InputError(f"The ledger {path} can't be read: {error}. Look at its permissions.") from error


def _entries(connection: sqlite3.Connection, path: Path) -> tuple[Entry, ...]:
    _require_ours(connection, path)
    connection.text_factory = lambda text: text.decode("utf-8", "replace")  # read what was changed, too
    try:
        rows = connection.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY number").fetchall()
    except sqlite3.OperationalError as error:
        if "no such" in str(error):
            raise InputError(f"The ledger {path} was changed: {error}. {_RESTORE}") from None
        raise
    return tuple(_entry(*row) for row in rows)


def _new(additions: Iterable[Addition], history: Iterable[Entry]) -> Iterator[Addition]:
    """Give the acts, and the facts that the ledger doesn't have."""
    known = {(e.kind, digest(e.body)) for e in history}
    for kind, body in additions:
        fact = (kind, digest(plain(dict(body))))
        if kind in _ACTS or fact not in known:
            known.add(fact)
            yield kind, body


def _insert(connection: sqlite3.Connection, kind: Kind, body: Mapping[str, Any]) -> Entry:
    if kind not in KINDS:
        raise ValueError(f"no entry kind {kind!r}")
    last = connection.execute("SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1").fetchone()
    number, previous = (last[0] + 1, last[1]) if last else (1, "")
    time = datetime.now(UTC).isoformat(timespec="seconds")
    unsigned = Entry(number, time, kind, plain(dict(body)), previous, "")
    entry = Entry(number, time, kind, unsigned.body, previous, _hash(unsigned))
    values = (number, time, kind, _canonical(entry.body), previous, entry.hash)
    connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", values)
    return entry


def _hash(entry: Entry) -> str:
    signed = _canonical([entry.number, entry.time, entry.kind, entry.body, entry.previous])
    return hashlib.sha256(signed.encode()).hexdigest()


def _canonical(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False)


@contextmanager
def _opened(path: Path, mode: Literal["ro", "rw"]) -> Iterator[sqlite3.Connection]:
    address = f"{path.resolve().as_uri()}?mode={mode}"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_WAIT, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path} can't be used as a ledger: {error}. Choose another file.") from error


def _make(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA.strip().split(";\n"):
        connection.execute(statement if statement.endswith("END") else statement.rstrip(";"))
    connection.execute(f"PRAGMA application_id = {_APPLICATION}")


def _require_ours(connection: sqlite3.Connection, path: Path) -> None:
    tables: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION
    if not tables and ours:
        raise InputError(f"The ledger {path} was changed: it has no entries' table. {_RESTORE}")
    if not tables:  # as a copy that failed leaves it: entries may be lost
        raise InputError(
            f"The ledger {path} is empty. Restore it from a copy, or remove it if it never held anything."
        )
    if not ours:
        raise InputError(f"{path} is a database of another program; choose another ledger file.")


def _entry(number: int, *cells: Any) -> Entry:  # noqa: ANN401 - whatever somebody wrote there
    """Return an entry; one that isn't as we write them has no hash, so that it follows from nothing."""
    time, kind, body, previous, hash_ = map(str, cells)
    try:
        content = json.loads(body)
        _canonical(content)  # without NaN
    except (ValueError, RecursionError):
        content = None
    if isinstance(content, dict) and all(isinstance(cell, str) for cell in cells):
        return Entry(number, time, kind, content, previous, hash_)
    return Entry(number, time, kind, {}, previous, "")
