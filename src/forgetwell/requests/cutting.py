"""Cutting pieces out of a text so that what is left reads as if they had never been there."""

from __future__ import annotations

from collections.abc import Sequence

import regex

from forgetwell.requests.blanks import plain_blanks
from forgetwell.requests.screens.hidden import hidden_spans
from forgetwell.requests.words import words
from forgetwell.types import Span

STOPS = "?.!…"

_NEAR = 40  # characters
_SPACES = regex.compile(r"[ \t]{2,}+")
# What repeats isn't preceded by its like: a long run is tried once, not from each of its places.
_BEFORE_MARK = regex.compile(r"(?<!\s)(?:(?:\s*+,)?+\s*+([.!?;:])|\s++(,))")
_NOTHING_QUOTED = regex.compile(r"\"\s*+\"|“\s*+”|‘\s*+’|(?<!\w)'\s*+'(?!\w)|\(\s*+\)")
_EDGE = regex.compile(r"^[\s,;:.!?—–\-)]++|(?<![\s,;:—–\-(])[\s,;:—–\-(]++$")
_START = regex.compile(r"^[\s,;:—–]++")


def without(text: str, cuts: Sequence[Span]) -> str:
    """Return the text with a space for each cut, and nothing for a character that hides inside a word."""
    pieces, at = [], 0
    for start, end in cuts:
        hides = end - start == 1 and bool(hidden_spans(text[start:end]))
        pieces += [text[at:start], "" if hides else " "]
        at = end
    return "".join([*pieces, text[at:]])


def merged(spans: Sequence[Span]) -> list[Span]:
    """Return spans in order, those that touch or overlap as one."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def whole(text: str, a: int, b: int) -> Span:
    """Return a span grown over what goes with it: of “..” both marks, of “, actually,” and “(sic)” all."""
    if words(text[a:b]):
        before, after = (part.strip() for part in around(text, a, b))
        if before.endswith("(") and after.startswith(")"):
            return text.rindex("(", 0, a), text.index(")", b) + 1
        if before[-1:].isalnum() or after[:1].isalnum():
            return a, b
        start = text.rindex(",", 0, a) if before.endswith(",") else a
        return start, text.index(",", b) + 1 if after.startswith(",") else b
    while a > 0 and text[a - 1] == text[a]:
        a -= 1
    while b < len(text) and text[b] == text[b - 1]:
        b += 1
    return a, b


def around(text: str, a: int, b: int) -> tuple[str, str]:
    """Return a little of what stands before and behind a span."""
    return text[max(0, a - _NEAR) : a], text[b : b + _NEAR]


def single_spaced(text: str) -> str:
    """Return the text with single spaces, none at its ends."""
    return str(_SPACES.sub(" ", text).strip())


def opened(sentence: str) -> str:
    """Return a sentence without the marks that a cut has left at its start or before others."""
    return str(_START.sub("", _BEFORE_MARK.sub(r"\1\2", sentence)))


def tidied(text: str, stop: str) -> str:
    """Return a question with a capital first, without marks left over at its edges, `stop` if it has none.

    Its blanks are single ones, whatever they were: line breaks, tabs and all that show as a blank.
    """
    text = _without_half_pairs(plain_blanks(text))
    text = _EDGE.sub("", _BEFORE_MARK.sub(r"\1\2", _SPACES.sub(" ", _NOTHING_QUOTED.sub(" ", text))))
    if text[:1].islower():
        text = text[0].upper() + text[1:]
    return text if not text or text[-1] in STOPS or "?" in text else text + stop


def _without_half_pairs(text: str) -> str:
    """Take away a bracket or quotation mark at an edge whose other half was taken out."""
    if text.count(")") > text.count("("):
        text = text.rstrip(")")
    if text.count("(") > text.count(")"):
        text = text.lstrip("(")
    if text.count('"') % 2:
        text = text[1:] if text.startswith('"') else text.removesuffix('"')
    return text
