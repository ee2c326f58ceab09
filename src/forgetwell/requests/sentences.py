"""Sentences of untrusted text, and what screens compare: questions whole, texts sentence by sentence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import regex

from forgetwell.requests.words import screened_text
from forgetwell.types import Row, Span

_SPACE = regex.compile(r"\s++")
_ENDS = frozenset(".!?…")
_STRICT = 10.0
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


def units(rows: Sequence[Row]) -> tuple[Unit, ...]:
    """Return what screens compare of rows: each question whole, of a plain text each sentence.

    A plain text is worded sentence by sentence: what opens its second one is as much a frame as what opens
    the first, and by whole texts it would be a name's capital.
    """
    return tuple(
        Unit(i, start, text[start:end])
        for i, row in enumerate(rows)
        for text in (screened_text(row),)
        for start, end in (sentence_spans(text) if row.text else ((0, len(text)),))
    )


def strictness(compared: Sequence[Unit]) -> float:
    """Return what p-values are multiplied by: 10 where plain texts are compared, 1 for questions.

    Sentences of one text are by one writer and go on from each other, so that subjects with many of a kind
    are more frequent than the nulls say, which know them by their mean and variance or from some dozens of
    subjects. Chosen on the development half of docs/screening.md.
    """
    return _STRICT if len(compared) > len({unit.row for unit in compared}) else 1.0


def _ended(text: str, at: int) -> bool:
    last = at - 1 if text[at - 1] not in _CLOSERS else at - 2
    return last >= 0 and text[last] in _ENDS
