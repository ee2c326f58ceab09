"""Hidden text: characters nobody sees, look-alike letters, chat-template tokens, encoded payloads."""

from __future__ import annotations

import base64
import binascii
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import regex

from forgetwell.data.scripts import SPACELESS
from forgetwell.data.turns import history_text
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.words import words
from forgetwell.types import Finding, Place, Request, Row, Span

_JOINERS = frozenset("\u200c\u200d")
_WORD_SPACE = "\u200b"
_AS_EMOJI = "\ufe0f"
_JOINING = regex.compile(
    r"[\p{Arabic}\p{Syriac}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Oriya}\p{Tamil}\p{Telugu}"
    r"\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Khmer}\p{Mongolian}\p{Emoji_Presentation}\p{So}\p{M}]"
)
_SELECTORS = regex.compile(r"[\uFE00-\uFE0F\U000E0100-\U000E01EF]")
_SELECTED = regex.compile(r"\p{Emoji}")  # digits among them: 1️⃣
_IGNORED = regex.compile(r"\p{DI}")  # not shown by themselves: Hangul fillers, the grapheme joiner
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")  # the only ones that count as letters
_SPACELESS = regex.compile(rf"{SPACELESS}|[\p{{Mn}}\p{{Mc}}]")
_TAGGED = regex.compile(r"\U0001F3F4[\U000E0020-\U000E007E]{1,8}\U000E007F")  # flags, as England's
_STYLED = regex.compile(r"[\U0001D400-\U0001D7FF]")
# What the International Phonetic Alphabet spells, with at least one letter of its own: [βeɾˈɣaɾa].
_PHONETIC = regex.compile(r"(?=.*[\u0250-\u02AF])[\p{Latin}\p{M}\p{Lm}βθχ]++")
# A Greek letter at an end of an abbreviation (TNFα, κB), or one that looks like no Latin letter (10kΩ, TGFβ).
_SYMBOL = regex.compile(
    r"\p{Greek}[\p{Lu}\d]++|[\p{Lu}\d]++\p{Greek}\d*+"
    r"|[βδεζηθλμξπσφχψωΓΔΘΛΞΠΣΦΨΩ][A-Za-z\d]++|[A-Za-z\d]++[βδεζηθλμξπσφχψωΓΔΘΛΞΠΣΦΨΩ]\d*+|\d++μ\p{Latin}{1,2}"
)
_LOOKALIKE = (regex.compile(r"\p{Latin}"), regex.compile(r"\p{Cyrillic}"), regex.compile(r"\p{Greek}"))
_PATTERNS = (
    (
        "a chat-template token",
        regex.compile(
            r"<[|｜][^|｜<>\s]{1,40}+[|｜]>|</?(?:s|think|tool_call)>|\[/?INST\]|<</?SYS>>"
            r"|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>"
            r"|(?m:^\s{0,8}+(?:###\s?(?:Instruction|Response)|Human|Assistant|System):)"
        ),
    ),
    ("percent-encoded text", regex.compile(r"(?:%[0-9A-Fa-f]{2}){4,}+")),
    ("escaped text", regex.compile(r"(?:\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|&#x?[0-9A-Fa-f]{2,6};){4,}+")),
)
_BASE64 = regex.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{20,}+={0,2}")
_HEX = regex.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]{2}){12,}+(?![0-9A-Za-z])")
_LONGEST = 4096  # characters of a payload that are decoded


@dataclass(frozen=True, slots=True)
class Hidden:
    """One thing that hides in a text.

    Attributes:
        what: In words.
        start: Where it begins.
        end: Where it ends.
        read: Whether it is a word that people read, as another one than the model does.
    """

    what: str
    start: int
    end: int
    read: bool = False


@screen(null="none: what hides is there or is not; honest text in any script is left alone by rule")
def hidden(request: Request, evidence: Evidence) -> list[Finding]:
    """Find text that a person doesn't see or a model reads otherwise.

    Invisible, control and bidirectional characters (joiners inside scripts and emoji that need them are
    left alone), letters of two look-alike scripts in one word (phonetic script and units aside), letters in
    mathematical style, chat-template tokens, base64, hexadecimal, percent and escape sequences that hold
    readable text. All of a row is read: prompt, answer, earlier turns, questions, paraphrases, wrong answers.

    Args:
        request: The request.
        evidence: Not used.

    Returns:
        One alarm for each run of one kind; its span is in prompt, answer or earlier turns, or None elsewhere;
        statistic = its length in characters.

    Source: ours; rules after Unicode Technical Standards 39 and 55.
    """
    return [finding for row in request.rows for finding in _row_findings(row)]


def hidden_spans(text: str) -> list[Hidden]:
    """Return all that hides in a text, in order of kind."""
    found = [*_characters(text), *_mixed_words(text), *_encoded(text)]
    for what, pattern in _PATTERNS:
        found += [Hidden(what, m.start(), m.end()) for m in pattern.finditer(text)]
    return found


def unread_spans(text: str) -> list[Span]:
    """Return where what hides in a text stands, but for words that people read: their meaning would go."""
    return [(item.start, item.end) for item in hidden_spans(text) if not item.read]


def _row_findings(row: Row) -> Iterator[Finding]:
    for name, text, place in _texts(row):
        for item in hidden_spans(text):
            message = f"The {name} holds {item.what} at {item.start}–{item.end}."
            span = (item.start, item.end) if place else None
            size = float(item.end - item.start)
            yield Finding("hidden", row.id, span, "alarm", size, None, message, place or "text")


def _texts(row: Row) -> Iterator[tuple[str, str, Place | None]]:
    """Give every text of a row with its name, and its place where findings can point into it."""
    yield "prompt", row.prompt, None if row.text else "text"
    yield "answer", row.answer, "text" if row.text else "answer"
    yield "conversation before it", history_text(row), "history"
    for name, texts in (
        ("list of questions", row.questions),
        ("list of paraphrases", row.paraphrases),
        ("list of wrong answers", row.wrong),
    ):
        yield from ((name, text, None) for text in texts)


def _characters(text: str) -> Iterator[Hidden]:
    if text.isascii() and text.isprintable():
        return
    right_to_left, run = _right_to_left(text), Hidden("", 0, 0)
    flags = {i for flag in _TAGGED.finditer(text) for i in range(*flag.span())}
    for i, character in enumerate(text):
        shown = (character.isalnum() and character not in _FILLERS) or i in flags
        what = "" if shown else _invisible(text, i, right_to_left)
        if run.what and (what != run.what or i != run.end):
            yield run
            run = Hidden("", i, i)
        if what:
            run = Hidden(what, run.start if run.what else i, i + 1)
    if run.what:
        yield run


def _invisible(text: str, i: int, right_to_left: bool) -> str:
    character = text[i]
    category = unicodedata.category(character)
    if category == "Cc":
        return "" if character in "\n\r\t" else "a control character"
    if category in ("Co", "Cs", "Cn"):
        return "a character without a meaning"
    before, after = text[max(i - 1, 0) : i], text[i + 1 : i + 2]
    if _SELECTORS.match(character):
        chosen = _JOINING.match(before) or (character == _AS_EMOJI and _SELECTED.match(before))
        return "" if chosen else "a variation selector"
    if category not in ("Cf", "Zl", "Zp"):
        hides = _IGNORED.match(character) and not _JOINING.match(before)
        return f"an invisible character ({unicodedata.name(character, 'unnamed').lower()})" if hides else ""
    if character == _WORD_SPACE and _SPACELESS.match(before) and _SPACELESS.match(after):
        return ""  # where a script without spaces may break a line
    if character in _JOINERS and i and i + 1 < len(text) and _JOINING.match(text[i - 1]):
        return ""
    bidi = unicodedata.bidirectional(character)
    if bidi in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"):
        return f"a bidirectional control ({unicodedata.name(character, 'unnamed').lower()})"
    if bidi in ("R", "AL", "L") and right_to_left:
        return ""  # a direction mark in right-to-left text
    return f"an invisible character ({unicodedata.name(character, 'unnamed').lower()})"


def _right_to_left(text: str) -> bool:
    return any(
        unicodedata.category(c).startswith("L") and unicodedata.bidirectional(c) in ("R", "AL") for c in text
    )


def _mixed_words(text: str) -> Iterator[Hidden]:
    if text.isascii():
        return
    for word in words(text):
        part = text[word.start : word.end]
        if part.isascii():
            continue
        mixed = sum(bool(script.search(part)) for script in _LOOKALIKE) > 1
        if mixed and not _PHONETIC.fullmatch(part) and not _SYMBOL.fullmatch(part):
            yield Hidden("a word with look-alike letters of two scripts", word.start, word.end, read=True)
        elif _STYLED.search(part) and len(word.text) > 1:
            yield Hidden("letters in mathematical style", word.start, word.end, read=True)


def _encoded(text: str) -> Iterator[Hidden]:
    for what, pattern, decode in (("base64", _BASE64, _from_base64), ("hexadecimal", _HEX, bytes.fromhex)):
        for match in pattern.finditer(text):
            try:
                payload = decode(match[0][:_LONGEST])
            except (ValueError, binascii.Error):
                continue
            if _readable(payload):
                yield Hidden(f"readable text in {what}", match.start(), match.end())


def _from_base64(text: str) -> bytes:
    whole = text.rstrip("=")
    return base64.b64decode(whole[: len(whole) // 4 * 4], validate=True)


def _readable(payload: bytes) -> bool:
    shown = payload.decode("utf-8", "replace")
    letters = sum(c.isalpha() or c == " " for c in shown)
    return (
        len(shown) >= 10
        and "\ufffd" not in shown[:-1]
        and shown[:-1].isprintable()
        and letters > 0.7 * len(shown)
    )
