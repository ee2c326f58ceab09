"""Whether forgetting was measured on what the request is about, told by digests alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Named = frozenset[tuple[str, str]]  # a row's column, as "subject", and the digest of what it says


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what a request names was asked.

    Attributes:
        what: What is counted: subjects, where rows have one, and else questions.
        asked: How many of them the evaluation's rows to forget are about.
        total: How many the request has; at least 1.
    """

    what: str
    asked: int
    total: int

    def __str__(self) -> str:
        """Say it in words."""
        return f"{self.asked or 'none'} of the request's {self.total} {self.what}"


def names_of(rows: Iterable[Mapping[str, Any]]) -> Named:
    """Return what redacted rows say of whom and what they ask."""
    columns = ("subject", "prompt", "answer")
    return frozenset((c, str(row[c])) for row in rows for c in columns if row.get(c))


def coverage(request: Iterable[Mapping[str, Any]], asked: Named) -> Coverage | None:
    """Compare a request's rows, redacted, with what the rows to forget of an evaluation name.

    An evaluation may ask in other words than the request: a row counts as asked where its subject or its
    question was, or, since without a subject nothing else is left of it in other words, its answer. Plain
    text is not compared: what is asked about it is not in it.

    Returns:
        None where no row can be compared.
    """
    units: dict[tuple[str, str], bool] = {}
    for row in request:
        if row.get("text") or not row.get("prompt"):
            continue
        subject = row.get("subject")
        unit = ("subject", str(subject)) if subject else ("prompt", str(row["prompt"]))
        hits = {unit, ("prompt", str(row["prompt"])), *(() if subject else names_of([row]))}
        units[unit] = units.get(unit, False) or not hits.isdisjoint(asked)
    if not units:
        return None
    kinds = {column for column, _ in units}
    what = " and ".join(word for column, word in _WORDS.items() if column in kinds)
    return Coverage(what, sum(units.values()), len(units))


_WORDS = {"subject": "subjects", "prompt": "questions"}
