"""Words of untrusted text: one rule for all screens and repairs, with the place of every word.

A **word** is a run of letters, digits and combining marks of any script, joined by inner apostrophes; each
character of a script that is written without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) is a word of its
own. It is compared as NFKC-normalized, case-folded text without format characters and others that aren't
shown, so that zero-width characters, variation selectors, full-width letters and casing can't hide it. Spans
always point into the original text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import regex

from forgetwell.data.scripts import SPACELESS
from forgetwell.files import read_toml
from forgetwell.requests.kept_texts import kept
from forgetwell.types import Row

ENGLISH = ("function", "person", "asking", "talk", "common")

_LETTER = rf"(?:(?!{SPACELESS}|\p{{DI}})[\p{{L}}\p{{N}}])"
_INSIDE = r"[\p{M}\p{Cf}\p{DI}]"
# Possessive quantifiers: no text, however long, makes the matcher go back. Where two are nested, `regex`
# keeps an apostrophe that no letter follows: hence the look ahead.
_LETTERS = rf"(?:{_LETTER}{_INSIDE}*+)++"
_WORD = regex.compile(rf"{SPACELESS}{_INSIDE}*+|{_LETTERS}(?:['’](?={_LETTER}){_LETTERS})*+")
_UNSEEN = regex.compile(r"[\p{Cf}\p{DI}]++")  # DI: default ignorable code points, as variation selectors
# The same for ASCII in lower case, in a third of the time. Nothing comes behind what repeats, so nothing is
# tried twice; possessive, it keeps such an apostrophe on Python before 3.11.5.
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")


class Word(NamedTuple):
    """One word, as compared, with its place in the original text.

    A tuple, as a screen makes hundreds of thousands: they are made in a third of a frozen dataclass's time.
    """

    text: str
    start: int
    end: int


@kept
def words(text: str) -> tuple[Word, ...]:
    """Return the words of a text in order; spans index the text as given."""
    return words_once(text)


def screened_text(row: Row) -> str:
    """Return the text that a requester words freely: the prompt, or a plain-text row's text."""
    return row.answer if row.text else row.prompt


def with_screened_text(row: Row, text: str) -> Row:
    """Return the row with its screened text replaced."""
    return replace(row, answer=text) if row.text else replace(row, prompt=text)


@cache
def word_lists() -> Mapping[str, frozenset[str]]:
    """Return the shipped lists of words that ordinary prompts about anything use, by list name.

    Source: written for this project (assets/ordinary_words.toml).
    """
    lists = read_toml(Path(__file__).parent / "assets" / "ordinary_words.toml")
    return {name: frozenset(_compared(w) for w in text.split()) for name, text in lists.items()}


@cache
def ordinary_words() -> frozenset[str]:
    """Return the shipped English words that ordinary prompts use."""
    return frozenset().union(*(word_lists()[name] for name in ENGLISH))


def words_once(text: str) -> tuple[Word, ...]:
    """Return the words of a text that nobody else reads: `words` without keeping them."""
    if text.isascii():
        return tuple([Word(m[0], *m.span()) for m in _ASCII_WORD.finditer(text.lower())])
    return tuple([Word(_compared(m[0]), *m.span()) for m in _WORD.finditer(text)])


def _compared(text: str) -> str:
    if text.isascii():
        return text.lower()
    plain = str(_UNSEEN.sub("", unicodedata.normalize("NFKC", text)))
    return plain.casefold().replace("’", "'")
