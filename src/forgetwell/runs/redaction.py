"""A run holds the very text that somebody wants forgotten; this takes the text out and keeps the numbers."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetwell.files import write_text
from forgetwell.runs.folder import CURVE, LOG
from forgetwell.runs.records import RESULTS, require_run

REPORT = "report.html"
# Strings that name things and say nothing of what is to be forgotten. All else is text.
NAMES = frozenset({"split", "screen", "severity", "by", "role", "kind"})
# Ids often hold the name of the person; their ending says which template or phrasing a row is, and stays.
IDS = frozenset({"id", "row_id"})
_DIGITS = "0123456789"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}(?:[#~]\d+)*")


@dataclass(frozen=True)
class PurgeReport:
    """What `purge` did.

    Attributes:
        redacted: Files whose text was replaced by digests.
        removed: Files that were deleted: the page, which can be built again, and leftovers of crashes.
        texts: Number of texts replaced.
    """

    redacted: tuple[str, ...]
    removed: tuple[str, ...]
    texts: int


def redact(records: Iterable[Any]) -> list[Any]:
    """Replace every text and id by its digest ``sha256:…``; numbers and the names of things stay.

    Equal texts get equal digests, so rows can still be matched. A digest hides nothing from somebody who
    guesses the text: short answers can be found by trying. Redacting twice changes nothing.
    """
    return [_redacted(record, "") for record in records]


def purge(path: Path) -> PurgeReport:
    """Replace all text and ids of request, findings and answers in a run by digests; numbers and model stay.

    Doing it twice changes nothing. Reports built elsewhere from this run are not reached, and deleted blocks
    of a disk may be readable until they are used again.

    Raises:
        MissingError: There is no such folder.
        InputError: The folder is no run of ours; nothing was touched.
        WriteFailed: The disk refused; the file it was at is unchanged, so purge again.
    """
    require_run(path)
    redacted, texts = [], 0
    for file in sorted(path.glob("*.jsonl")):
        if file.name in (LOG, RESULTS):
            continue
        before = file.read_text(encoding="utf-8", errors="surrogateescape")
        after, count = _redacted_lines(before, by_id=file.name == CURVE)
        if count:
            write_text(file, after)
            redacted.append(file.name)
            texts += count
    leftovers = [*path.glob(f"{REPORT}"), *path.glob(".*.part")]
    for file in leftovers:
        file.unlink()
    return PurgeReport(tuple(redacted), tuple(sorted(f.name for f in leftovers)), texts)


def _redacted_lines(text: str, *, by_id: bool) -> tuple[str, int]:
    """Redact a JSONL file, in a curve the ids above values too; a line that can't be read is a text."""
    lines: list[str] = []
    count = 0
    for line in filter(str.strip, text.split("\n")):
        try:
            old: Any = json.loads(line)
        except json.JSONDecodeError:
            old = {"unreadable": line}
        new = _redacted_curve(old) if by_id and "step" in old else _redacted(old, "")
        count += _differing(old, new)
        lines.append(json.dumps(new) + "\n")  # ASCII: lone surrogates survive
    return "".join(lines), count


def _redacted_curve(record: dict[str, Any]) -> dict[str, Any]:
    """Redact the ids in ``{"step": …, "forget": {id: value}, "utility": {split: {id: value}}}``."""

    def redacted(values: dict[str, Any]) -> dict[str, Any]:
        return {_redacted(row_id, "id"): value for row_id, value in values.items()}

    utility = {split: redacted(values) for split, values in record.get("utility", {}).items()}
    return {
        **record,
        "forget": redacted(record["forget"]),
        **({"utility": utility} if "utility" in record else {}),
    }


def _redacted(value: Any, key: str) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {k: _redacted(v, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(v, key) for v in value]
    if not isinstance(value, str) or not value or key in NAMES or _DIGEST.fullmatch(value):
        return value
    kept = _ending(value) if key in IDS else ""
    named = value.removesuffix(kept)
    return "sha256:" + hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest() + kept


def _ending(name: str) -> str:
    """Return the ``#1`` and ``~2`` at an id's end, found from there: hostile ids are long."""
    at = len(name)
    while (start := len(name[:at].rstrip(_DIGITS))) < at and name[start - 1 : start] in ("#", "~"):
        at = start - 1
    return name[at:]


def _differing(old: Any, new: Any) -> int:  # noqa: ANN401 - any JSON value
    if isinstance(old, dict):
        return sum((a != b) + _differing(old[a], new[b]) for a, b in zip(old, new, strict=True))
    if isinstance(old, list):
        return sum(_differing(a, b) for a, b in zip(old, new, strict=True))
    return int(old != new)
