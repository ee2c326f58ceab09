"""Blanks as a model reads them: more of them, other ones, or ones at an end of a text are other tokens."""

from __future__ import annotations

import unicodedata

import regex

from forgetwell.types import Span

# Beyond Unicode's: separators of data, the empty Braille pattern, Hangul's fillers.
_EMPTY = r"\x1C-\x1F\u2800\u3164\u115F\u1160\uFFA0"
_ANY = regex.compile(rf"[\s{_EMPTY}]++")
_OTHER = regex.compile(rf"[^\S \t\r\n]|[{_EMPTY}]")
_KINDS = (
    ("a line break", regex.compile(r"[\r\n]++")),
    ("a tab", regex.compile(r"\t++")),
    ("several blanks", regex.compile(r"(?<! ) {2,}+")),
)


def unusual_blanks(text: str) -> dict[str, Span]:
    """Return in words what blanks a text has but single ones between words, each with its first place.

    Those at its ends, several in a row, tabs, line breaks, every other character that shows as a blank, by
    its code, and any of these: “an unusual blank”.
    """
    found: dict[str, Span] = {}
    runs = [m.span() for m in _ANY.finditer(text)]
    if runs and runs[0][0] == 0:
        found["a blank in front"] = runs[0]
    if runs and runs[-1][1] == len(text):
        found["a blank behind"] = runs[-1]
    for what, pattern in _KINDS:
        if first := pattern.search(text):
            found[what] = first.span()
    for other in _OTHER.finditer(text):
        found.setdefault(f"the blank {_named(other[0])}", other.span())
    return found | ({"an unusual blank": min(found.values())} if found else {})


def plain_blanks(text: str) -> str:
    """Return a text with one blank wherever it has any, and none at its ends."""
    return str(_ANY.sub(" ", text)).strip(" ")


def as_spaces(text: str) -> str:
    """Return a text of the same length with a space for every blank that is no line break."""
    return str(_OTHER.sub(" ", text).replace("\t", " "))


def _named(character: str) -> str:
    return f"U+{ord(character):04X} ({unicodedata.name(character, 'a control character').lower()})"
