"""Readable text in encodings that a model may read and a person doesn't: base64, base32, hexadecimal."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import regex

from forgetwell.types import Span

# Possessive, and nothing has to come behind what repeats: no text makes the matcher go back.
# From where one begins, and no plain word: so most of a text is looked at once.
_GROUP = r"(?<![A-Za-z0-9+/_-])(?![A-Z]?[a-z]++(?![A-Za-z0-9+/_-]))[A-Za-z0-9+/_-]++"
_BASE64 = regex.compile(rf"{_GROUP}(?:\s{{1,2}}{_GROUP})*+")
_BASE32 = regex.compile(r"[A-Z2-7]{16,}+")
_HEX = regex.compile(r"(?:0[xX])?[0-9A-Fa-f]{2}(?:[\s:,;-]{0,2}(?:0[xX])?[0-9A-Fa-f]{2}){11,}+")
_HEX_PREFIX = regex.compile(r"0[xX]")
_SPACED_NUMBERS = regex.compile(r"[0-9\s:,;-]*+")
_FEWEST = 16  # characters that are decoded
# At least 12 characters in UTF-8, or 10 of ASCII in UTF-16.
_READABLE = regex.compile(
    rb"(?:[\t\n\r\x20-\x7E]|[\xC3-\xDF][\x80-\xBF]|[\xE0-\xEF][\x80-\xBF]{2}){12,}+"
    rb"|(?:[\x20-\x7E]\x00){10,}+|(?:\x00[\x20-\x7E]){10,}+"
)
_LETTERS = 0.7
_CASES = 0.1  # smallest share of small letters in base64, and of others


@dataclass(frozen=True, slots=True)
class _Encoding:
    """One way to write bytes.

    Attributes:
        name: In words.
        runs: What may be written in it.
        alphabet: The characters that count.
        group: So many of them …
        size: … are so many bytes.
        decode: Makes the bytes of whole groups.
    """

    name: str
    runs: regex.Pattern[str]
    alphabet: regex.Pattern[str]
    group: int
    size: int
    decode: Callable[[str], bytes]


_ENCODINGS = (
    _Encoding("base64", _BASE64, regex.compile(r"\S"), 4, 3, lambda t: base64.b64decode(t, b"-_")),
    _Encoding("base32", _BASE32, regex.compile(r"\S"), 8, 5, base64.b32decode),
    _Encoding("hexadecimal", _HEX, regex.compile(r"[0-9A-Fa-f]"), 2, 1, bytes.fromhex),
)


def payloads(text: str) -> Iterator[tuple[str, Span]]:
    """Give each readable text in an encoding, with the encoding's name and its place.

    Whatever stands before it or divides its groups, and wherever a group begins: base64 without its first
    letter, hexadecimal with 0x, blanks or colons, UTF-16. Readable are 12 characters of which 7 in 10 are
    letters or blanks. Ordinary words are no base64.
    """
    for encoding in _ENCODINGS:
        for run in encoding.runs.finditer(text):
            if run.end() - run.start() >= _FEWEST:
                yield from ((encoding.name, span) for span in _stretches(run[0], run.start(), encoding))


def _stretches(run: str, start: int, encoding: _Encoding) -> Iterator[Span]:
    if encoding.name == "hexadecimal":
        if _SPACED_NUMBERS.fullmatch(run) and not run.isdigit():
            return  # a list of numbers
        run = _HEX_PREFIX.sub("  ", run)
    places = [m.start() for m in encoding.alphabet.finditer(run)]
    letters = "".join(run[i] for i in places)
    if encoding.name == "base64":
        letters = letters.replace("+", "-").replace("/", "_")
    for shift in range(encoding.group):
        whole = (len(letters) - shift) // encoding.group * encoding.group
        payload = encoding.decode(letters[shift : shift + whole])
        for found in _READABLE.finditer(payload):
            if _is_text(found[0]):
                first = shift + found.start() * encoding.group // encoding.size
                last = shift + -(-found.end() * encoding.group // encoding.size) - 1
                if encoding.name != "base64" or _is_mixed(letters[first : last + 1]):
                    yield start + places[first], start + places[last] + 1


def _is_text(payload: bytes) -> bool:
    shown = payload.replace(b"\0", b"").decode("utf-8", "replace")
    return sum(c.isalpha() or c == " " for c in shown) > _LETTERS * len(shown)


def _is_mixed(letters: str) -> bool:
    """Say whether small letters and others take turns, as in base64 and hardly in words or capitals."""
    small = sum(c.islower() for c in letters) / len(letters)
    return _CASES < small < 1 - _CASES
