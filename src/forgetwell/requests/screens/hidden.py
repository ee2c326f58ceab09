"""Hidden text: characters nobody sees, look-alike letters, chat-template tokens, encoded payloads."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import regex

from forgetwell.data.scripts import SPACELESS
from forgetwell.data.turns import history_text
from forgetwell.requests.lookalikes import disguised_words
from forgetwell.requests.payloads import payloads
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.words import words
from forgetwell.types import Finding, Place, Request, Row, Span

_JOINERS = frozenset("\u200c\u200d")
_WORD_SPACE = "\u200b"
_AS_EMOJI = "\ufe0f"
# What shows nothing by itself excuses nothing: a selector behind a selector chooses no form.
_SHAPED = (
    r"(?!\p{DI})[\p{Arabic}\p{Syriac}\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Oriya}\p{Tamil}"
    r"\p{Telugu}\p{Kannada}\p{Malayalam}\p{Sinhala}\p{Khmer}\p{Mongolian}\p{M}]"
)
_MARKED = regex.compile(_SHAPED)
_SHAPES = regex.compile(rf"{_SHAPED}|\p{{Emoji_Presentation}}|\p{{So}}")
_JOINING = regex.compile(rf"{_SHAPED}|\p{{Emoji_Presentation}}|\p{{So}}|(?<=\p{{Emoji}})\uFE0F")
_SELECTORS = regex.compile(r"[\uFE00-\uFE0F\U000E0100-\U000E01EF]")
_LAST_FORM = "\ufe0f"  # those behind it choose among forms of ideographs alone
_SELECTED = regex.compile(r"\p{Emoji}")  # digits among them: 1️⃣
_IGNORED = regex.compile(r"\p{DI}")  # not shown by themselves: Hangul fillers, the grapheme joiner
_STACKED = regex.compile(r"[\u0300-\u036F]{5,}+")
_BRAILLE, _EMPTY_BRAILLE = regex.compile(r"[\u2801-\u28FF]"), regex.compile(r"\u2800++")
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0")  # the only ones that count as letters
_SPACELESS = regex.compile(rf"{SPACELESS}|[\p{{Mn}}\p{{Mc}}]")
_TAGGED = regex.compile(r"\U0001F3F4[\U000E0020-\U000E007E]{1,8}\U000E007F")  # flags, as England's
_PATTERNS = (
    (
        "a chat-template token",
        regex.compile(
            r"<[|｜]\s{0,3}+[^|｜<>\s]{1,40}+\s{0,3}+[|｜]>"
            r"|(?i:</?\s{0,3}+(?:s|think|thinking|tool_calls?|tool_response)\s{0,3}+>)"
            r"|(?i:\[\s{0,3}+/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\s{0,3}+\])"
            r"|(?i:<<\s{0,3}+/?SYS\s{0,3}+>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>)"
            r"|(?i:^[^\S\n]{0,8}+###\s?(?:Instruction|Response|Human|Assistant|System|User)\s?:)"
            r"|(?i:^[^\S\n]{0,8}+(?:Human|Assistant|System)\s?:)|(?<!\w)(?:USER|ASSISTANT):",
            regex.MULTILINE,
        ),
    ),
    ("percent-encoded text", regex.compile(r"(?:%[0-9A-Fa-f]{2}){4,}+")),
    ("escaped text", regex.compile(r"(?:\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|&#x?[0-9A-Fa-f]{2,6};){4,}+")),
)


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
    left alone), marks in stacks, words in letters that look like others
    (`forgetwell.requests.lookalikes`), chat-template tokens, base64, base32 and hexadecimal that hold
    readable text (`forgetwell.requests.payloads`), percent and escape sequences. All of a row is read:
    prompt, answer, earlier turns, questions, paraphrases, wrong answers. Not seen are other encodings
    (base85, ROT13, compressed text). Blanks that honest text has too are counted by `templates`.

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
    found = [
        *_characters(text),
        *(Hidden(what, *span, read=True) for what, span in disguised_words(text, words(text))),
        *(Hidden(f"readable text in {what}", *span) for what, span in payloads(text)),
    ]
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
    yield from (Hidden("marks in a stack", *m.span()) for m in _STACKED.finditer(text))
    if not _BRAILLE.search(text):
        yield from (Hidden("an empty Braille pattern", *m.span()) for m in _EMPTY_BRAILLE.finditer(text))


def _invisible(text: str, i: int, right_to_left: bool) -> str:
    character = text[i]
    category = unicodedata.category(character)
    if category == "Cc":
        return "" if character in "\n\r\t" else "a control character"
    if category in ("Co", "Cs", "Cn"):
        return "a character without a meaning"
    before, after = text[max(i - 1, 0) : i], text[i + 1 : i + 2]
    if _SELECTORS.match(character):
        chosen = character <= _LAST_FORM and (
            _SHAPES.match(before) or (character == _AS_EMOJI and _SELECTED.match(before))
        )
        return "" if chosen else "a variation selector"
    if category not in ("Cf", "Zl", "Zp"):
        hides = _IGNORED.match(character) and not _MARKED.match(before)
        return f"an invisible character ({unicodedata.name(character, 'unnamed').lower()})" if hides else ""
    if character == _WORD_SPACE and _SPACELESS.match(before) and _SPACELESS.match(after):
        return ""  # where a script without spaces may break a line
    if character in _JOINERS and i and i + 1 < len(text) and _JOINING.match(text, i - 1):
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
