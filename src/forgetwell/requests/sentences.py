"""Sentences of untrusted text, and what screens compare: questions whole, texts sentence by sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import regex

from forgetwell.requests.words import screened_text
from forgetwell.types import Row, Span

_SPACE = regex.compile(r"\s++")
_ENDS = frozenset(".!?…")
# Sentences of one text, and texts about one subject, are often by one writer, so that subjects with many of
# a kind are more frequent than the nulls say, which know them by their mean and variance or from some dozens
# of subjects. Chosen on the development half of docs/screening.md.
_STRICT_SENTENCES, _STRICT_TEXTS = 10.0, 25.0
_CLOSERS = "\"”’')]"  # may stand behind the mark


class Unit(NamedTuple):
    """What is compared with ordinary prompts: a question, or a sentence of a plain text.

    A tuple, as a screen makes hundreds of thousands.

    Attributes:
        row: Number of its row.
        start: Where it begins in the row's text.
        text: Its text.
    """

    row: int
    start: int
    text: str


class Reading(NamedTuple):
    """One way to read a request.

    Attributes:
        units: What is compared.
        strict: What p-values are multiplied by.
        whole: Whether plain texts are read as a whole.
    """

    units: tuple[Unit, ...]
    strict: float
    whole: bool


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


def readings(rows: Sequence[Row]) -> tuple[Reading, ...]:
    """Return how screens read rows: questions whole, plain texts sentence by sentence and whole.

    What opens a text's second sentence is as much a frame as what opens its first; read whole, it would be a
    name's capital. But whole texts are fewer and more alike, so that a frame of their openings shows sooner.
    """
    if not any(row.text for row in rows):
        return (Reading(_wholes(rows), 1.0, whole=False),)
    return (
        Reading(_sentences(rows), _STRICT_SENTENCES, whole=False),
        Reading(_wholes(rows), _STRICT_TEXTS, whole=True),
    )


def read_units(rows: Sequence[Row], *, whole: bool) -> tuple[Unit, ...]:
    """Return what is compared of rows: each question, and of a plain text each sentence or all of it."""
    return _wholes(rows) if whole else _sentences(rows)


def _sentences(rows: Sequence[Row]) -> tuple[Unit, ...]:
    return tuple(
        Unit(i, start, text[start:end])
        for i, row in enumerate(rows)
        for text in (screened_text(row),)
        for start, end in (sentence_spans(text) if row.text else ((0, len(text)),))
    )


def _wholes(rows: Sequence[Row]) -> tuple[Unit, ...]:
    return tuple(Unit(i, 0, screened_text(row)) for i, row in enumerate(rows))


def _ended(text: str, at: int) -> bool:
    last = at - 1 if text[at - 1] not in _CLOSERS else at - 2
    return last >= 0 and text[last] in _ENDS
