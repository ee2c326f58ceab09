"""A text as the tokens by which it asks: words of asking as they are, names and other words masked, marks."""

from __future__ import annotations

from functools import cache

import regex

from forgetwell.requests.features import FRAMING, MASK, mark
from forgetwell.requests.kept_texts import kept
from forgetwell.requests.words import ordinary_words, word_lists
from forgetwell.types import Span

OTHER, COMMON = "…", "~"
_MARK = regex.compile(r"[^\w\s'’\"“”‘()\-]")


@kept
def tokens_of(text: str) -> tuple[tuple[str, ...], tuple[Span, ...]]:
    """Return words that ask as they are, names as ·, other listed words as ~, the rest as …; and marks.

    With them, the place of each.
    """
    marked, asking = mark(text), _asking_words()
    found: list[tuple[str, Span]] = []
    at = 0
    for word, compared in zip(marked.words, marked.compared, strict=True):
        found += _marks(text, at, word.start)
        at = word.end
        token = compared if compared == MASK or compared in asking else _masked(compared)
        if token == MASK and found and found[-1][0] == MASK:
            found[-1] = (MASK, (found[-1][1][0], word.end))
        else:
            found.append((token, (word.start, word.end)))
    found += _marks(text, at, len(text))
    return tuple(token for token, _ in found), tuple(span for _, span in found)


def _masked(word: str) -> str:
    return COMMON if word in ordinary_words() else OTHER


def _marks(text: str, start: int, end: int) -> list[tuple[str, Span]]:
    if text[start:end] in ("", " "):  # between most words
        return []
    return [(m[0], m.span()) for m in _MARK.finditer(text, start, end)]


@cache
def _asking_words() -> frozenset[str]:
    """Return the listed words by which a question is put, whatever it is about."""
    return frozenset().union(*(word_lists()[name] for name in ("function", *FRAMING)))
