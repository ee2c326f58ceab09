"""A file of records, so that an interrupted evaluation goes on and no text is scored twice.

One JSON object a line: first what the records are of, then key, record and checksum. Keys are digests of
what was asked, so that scores hold no text. A line that a crash cut off, a disk damaged or a redaction
rewrote fails its checksum and is asked again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetwell.files import WriteFailed, plain, sha256, write_jsonl
from forgetwell.types import Generation, TokenScores

Said = TokenScores | Generation


@dataclass
class Cache:
    """Records of one model under one set of settings.

    Attributes:
        path: The file; None keeps records in memory only.
        texts: Whether generated text may be written; without it, answers are asked again after a crash.
        known: The records by key.
    """

    path: Path | None
    texts: bool = True
    known: dict[str, Said] = field(default_factory=dict)

    def keep(self, found: Mapping[str, Said]) -> None:
        """Add records, each in a line of its own.

        Raises:
            WriteFailed: The disk refused; what was there before is still there.
        """
        self.known.update(found)
        lines = [_line(k, v) for k, v in found.items() if self.texts or not isinstance(v, Generation)]
        if self.path is None or not lines:
            return
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write("".join(lines))
        except OSError as error:
            reason = error.strerror or str(error)
            raise WriteFailed(
                f"Could not write {self.path}: {reason}. Free some space and resume."
            ) from error


def open_cache(path: Path, identity: str, *, texts: bool = True) -> Cache:
    """Open a file of records of `identity`, or begin one; records of anything else are thrown away.

    Args:
        path: The file.
        identity: Digest of the model, its tokenizer and template, and how it computes.
        texts: Whether generated text may be written.

    Raises:
        WriteFailed: The disk refused.
    """
    known = read_cache(path, identity)
    if not known:
        write_jsonl(path, [{"records_of": identity}])
        return Cache(path, texts)
    with path.open("rb+") as stream:
        stream.seek(-1, 2)
        if stream.read(1) != b"\n":  # a crash cut the last line off: the next begins on its own
            stream.write(b"\n")
    return Cache(path, texts, known)


def read_cache(path: Path, identity: str = "") -> dict[str, Said]:
    """Return the sound records of a file by key; none where it is of another identity than asked for."""
    if not path.is_file():
        return {}
    lines = _objects(path)
    header = next(lines, {})
    if identity and header.get("records_of") != identity:
        return {}
    sound = (line for line in lines if line.get("check") == _check(line.get("key"), line.get("record")))
    return {line["key"]: _said(line["record"]) for line in sound}


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                value = json.loads(line)
            except (json.JSONDecodeError, RecursionError):
                value = None
            yield value if isinstance(value, dict) else {}


def _line(key: str, said: Said) -> str:
    record = plain(said)
    return json.dumps({"key": key, "record": record, "check": _check(key, record)}) + "\n"


def _check(key: Any, record: Any) -> str:  # noqa: ANN401 - whatever a damaged line holds
    return sha256([key, record])


def _said(record: Mapping[str, Any]) -> Said:
    if "text" in record:
        return Generation(**record)
    return TokenScores(**{name: tuple(values) for name, values in record.items()})
