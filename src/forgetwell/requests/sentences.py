"""Sentences of untrusted text, and what screens compare: questions whole, texts sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import regex

from forgetwell.requests.words import screened_text
from forgetwell.types import Row, Span

_SPACE = regex.compile(r"\s++")
_ENDS = frozenset(".!?…")
_CLOSERS = "\"”’')]"  # may stand behind the mark


# What is compared: questions, sentences of plain texts, and whole texts, each with ordinary ones of its form.
UnitKind = Literal["rows", "sentences", "texts"]
# What p-values of counts are multiplied by. Sentences of one text, and texts about one subject, are often by
# one writer; so subjects with many of a kind are more frequent than the null says, which knows them by mean
# and variance. Chosen on the development half of docs/screening.md.
_STRICT: Mapping[UnitKind, float] = {"rows": 1.0, "sentences": 10.0, "texts": 100.0}


class Unit(NamedTuple):
    """What is compared with ordinary prompts: a question, a sentence of a plain text, or a whole text.

    A tuple, as a screen makes hundreds of thousands.

    Attributes:
        row: Number of its row.
        start: Where it begins in the row's text.
        text: Its text.
    """

    row: int
    start: int
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a request's rows.

    Attributes:
        form: What is compared, in words.
        units: All of it.
    """

    form: UnitKind
    units: tuple[Unit, ...]

    @property
    def strict(self) -> float:
        """What p-values of counts are multiplied by."""
        return _STRICT[self.form]


def sentence_spans(text: str) -> Iterator[Span]:
    """Give the place of each sentence; they are divided by space behind a mark, and by line breaks.

    A mark is one of .!?…, with at most one closing quotation mark or bracket behind it, so that “Mr. Finn”
    is two. The space around and between them belongs to none; a blank text is one empty sentence.
    """
    start = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    for space in _SPACE.finditer(text, start, end):
        if "\n" in space[0] or _ended(text, space.start()):
            yield start, space.start()
            start = space.end()
    yield min(start, end), end


def with_sentences(text: str, change: Callable[[str, int], str]) -> str:
    """Return a text with each sentence changed; the function takes it and where it begins."""
    parts, at = [], 0
    for start, end in sentence_spans(text):
        parts += [text[at:start], change(text[start:end], start)]
        at = end
    return "".join([*parts, text[at:]])


def readings(rows: Sequence[Row], *, whole: bool = False) -> tuple[Reading, ...]:
    """Return how screens that count read rows: questions whole, plain texts sentence by sentence.

    What opens a text's second sentence is as much a frame as what opens its first; read whole, it would be a
    name's capital. Each form is read by itself: rows of one don't hide what is in the other.

    Args:
        rows: The rows.
        whole: Read plain texts whole as well: a word that each has once shows sooner there.
    """
    forms: tuple[UnitKind, ...] = ("rows", "sentences", "texts") if whole else ("rows", "sentences")
    read = (read_as(rows, form) for form in forms)
    return tuple(reading for reading in read if reading.units)


def read_as(rows: Sequence[Row], form: UnitKind) -> Reading:
    """Return what there is of a form in rows."""
    return Reading(form, read_units(rows, form))


def read_units(rows: Sequence[Row], form: UnitKind) -> tuple[Unit, ...]:
    """Return the units of a form in rows."""
    return tuple(
        Unit(i, start, text[start:end])
        for i, row in enumerate(rows)
        if row.text == (form != "rows")
        for text in (screened_text(row),)
        for start, end in (sentence_spans(text) if form == "sentences" else ((0, len(text)),))
    )


def _ended(text: str, at: int) -> bool:
    last = at - 1 if text[at - 1] not in _CLOSERS else at - 2
    return last >= 0 and text[last] in _ENDS
