"""Where the question stands in a prompt that may be framed: "Let me ask you this: can you …? Thanks"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import regex

from forgetwell.requests.features import MASK, POLITE, Marked, mark
from forgetwell.requests.template_sets import QUESTION_WORDS, WH_WORDS
from forgetwell.requests.words import ordinary_words, word_lists, words
from forgetwell.types import Span

PREPOSITIONS = frozenset(
    [
        "in", "on", "at", "from", "to", "of", "for", "by", "with", "about", "under", "through", "during",
        "since", "until", "into",
    ]
)  # fmt: skip
_SUBJECTS = frozenset(
    [
        "a", "an", "the", "this", "that", "these", "those", "some", "any", "there", "he", "she", "it", "they",
        "his", "her", "its", "their",
    ]
)  # fmt: skip
_HEARERS = frozenset(["you", "anyone", "anybody", "someone", "somebody"])
LONGEST_FRAME = 80
_LONGEST_ASKING = 5  # words of "you tell me please"
_LONGEST_GAP = 2  # words between what is flagged and the question behind it
# The question mark, or that of a question right behind: "… mother? What did she do …?"
_MARK = regex.compile(rf"\?(?:\s++(?:{'|'.join(sorted(WH_WORDS))})\b[^?]*+\?)*+", regex.IGNORECASE)
_COLON = regex.compile(r":\s++")
_TAIL = regex.compile(
    r"(?:,\s|\s)(?=(?:please|thanks|thank you|kindly)\b[^\p{L}]*+$)"
    r"|,\s(?=(?:and|or)\s(?:who|what|when|where|why|how|which)\b[^\p{L}]*+$)",
    regex.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Start:
    """Where a question may begin.

    Attributes:
        at: Place in the text.
        ended: End of the question word.
        wh: Whether that is a word like "what".
        after_mark: Whether it comes right after a punctuation mark.
        to_hearer: Whether whoever reads is asked, as in "can you".
    """

    at: int
    ended: int
    wh: bool
    after_mark: bool
    to_hearer: bool


def question_span(text: str, flagged: Sequence[Span]) -> Span | None:
    """Return where the question stands; None if nothing asks.

    It begins at the first question word, with a preposition before it, or at an auxiliary before its subject
    ("can you", "did the"). What is before must look like a frame: at most 80 characters, and no name. Where
    what is flagged goes on behind that ("*What I want to find* out is which …"), it begins at the next such
    word up to two words after it; without any, behind a colon. It ends with its question mark, before thanks,
    ", and why?" and closing words of talk.

    Args:
        text: The prompt.
        flagged: Spans that screens found in it.
    """
    marked = mark(text)
    starts = question_starts(marked)
    if not starts:
        colon = _COLON.search(text, 0, LONGEST_FRAME)
        if colon is None or _named(marked, colon.start()):
            return None
        return colon.end(), _end(text, colon.end())
    current = starts[0]
    for later in starts[1:]:
        if (later.wh or not current.wh or later.after_mark) and _goes_on(text, flagged, current, later):
            current = later
    return current.at, _end(text, current.at)


def chat_words() -> frozenset[str]:
    """Return the words that may be taken out of a question: of talk and politeness."""
    return word_lists()["talk"] | POLITE


def question_starts(marked: Marked) -> list[Start]:
    """Return where a question may begin, behind a frame at most, in order."""
    found: list[Start] = []
    for i, (word, compared) in enumerate(zip(marked.words, marked.compared, strict=True)):
        plain = word.text.partition("'")[0]
        wh = plain in WH_WORDS
        if wh or (compared in QUESTION_WORDS and (i == 0 or _inverted(marked, i))):
            first = marked.words[i - 1] if wh and i and marked.words[i - 1].text in PREPOSITIONS else word
            if first.start > LONGEST_FRAME:
                break
            marks = marked.text[: first.start].rstrip()[-1:]
            to_hearer = not wh and _following(marked, i) in _HEARERS
            found.append(Start(first.start, word.end, wh, not marks.isalnum(), to_hearer))
        elif (
            compared == MASK and plain not in PREPOSITIONS and not (i == 0 and plain.isdigit())
        ):  # "1. What …"
            break
    return found


def _inverted(marked: Marked, i: int) -> bool:
    """Say whether a subject follows, as in "can you"."""
    following = _following(marked, i)
    named = MASK in marked.compared[i + 1 : i + 2] and following not in PREPOSITIONS
    return named or following in _SUBJECTS or following in word_lists()["person"]


def _following(marked: Marked, i: int) -> str:
    return marked.words[i + 1].text if i + 1 < len(marked.words) else ""


def _goes_on(text: str, flagged: Sequence[Span], start: Start, later: Start) -> bool:
    """Say whether a frame goes on from one start to a later one.

    Something flagged begins at or behind the first and ends right before the other, or the first asks the
    hearer to say what follows.
    """
    between = [w.text for w in words(text[start.ended : later.at])]
    usual = ordinary_words().issuperset(between)
    if start.to_hearer and later.wh and usual and len(between) <= _LONGEST_ASKING:
        return True  # "can you tell me who …"
    if start.wh and (between in (["and"], ["or"]) or not usual):
        return False  # "when and where was …", "what is the name of the author who …"
    ends = [b for a, b in flagged if start.at <= a < later.at and b <= later.ended]
    return bool(ends) and len(words(text[max(ends) : later.at])) <= _LONGEST_GAP


def _named(marked: Marked, end: int) -> bool:
    return any(w.start < end and c == MASK for w, c in zip(marked.words, marked.compared, strict=True))


def _end(text: str, start: int) -> int:
    found = _MARK.search(text, start)
    tail = _TAIL.search(text, start)
    end = min(found.end() if found else len(text), tail.start() if tail else len(text))
    return _without_chat(text, start, end)


def _without_chat(text: str, start: int, end: int) -> int:
    """Return the end before closing words of talk: "… graduate from*, really?*"."""
    marked, cut = mark(text[start:end]), end
    for word, compared in zip(reversed(marked.words), reversed(marked.compared), strict=True):
        if compared not in chat_words():
            break
        cut = start + word.start
    return len(text[:cut].rstrip(" ,")) if cut < end else end
