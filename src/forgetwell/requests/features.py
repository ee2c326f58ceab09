"""What rows are compared by: words, phrases, openings, closings, marks, blanks, casing; each with its place.

A feature is a string; its class says how it is tested. Listed words inside a title (in quotes, or with a
capital inside the text) are no features: "Yes Man" asks nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import regex

from forgetwell.requests.blanks import unusual_blanks
from forgetwell.requests.kept_texts import kept
from forgetwell.requests.names import like_a_name, next_to
from forgetwell.requests.template_sets import QUESTION_WORDS
from forgetwell.requests.words import Word, ordinary_words, word_lists, words
from forgetwell.types import Span

Found = dict[str, Span]

FRAMING = ("person", "asking", "talk")
LANGUAGES = ("german", "french", "spanish", "italian", "portuguese", "dutch")
MASK = "·"
POLITE = frozenset(["please", "kindly", "thanks", "pls", "plz", "thx", "sorry"])  # nobody's name

_QUOTED = regex.compile(r'["“][^"“”]{1,80}["”]|(?<!\w)[\'‘][^\'‘’]{2,80}[\'’](?!\w)')
_MARKS = regex.compile(r"[^\p{L}\p{M}\p{N}\s'’\"“”‘,.\-]++|\.\.++|--++|\.(?=\s*+$)")
_LEAST_TITLED, _TITLED = 6, 0.8  # words behind the first, and share of them
_PHRASE = 3
_FRAME = 3
_CALL, _PREFACE = 2, 6
_SET_OFF = regex.compile(r"\s*+[,:;!–—…]\s*+|\s++-++\s++|\s*+\.\.++\s*+")
DETERMINERS = frozenset(["the", "a", "an", "this", "that", "my", "our", "your", "his", "her", "its", "their"])
_CLASSES = {
    "^": "opening", "$": "closing", "#": "shape", "<": "language", "~": "rare", "@": "attribute",
    "&": "call",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Marked:
    """A text's words with the text each is compared as; names and titles are masked."""

    text: str
    words: tuple[Word, ...]
    compared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Quotes:
    starts: Sequence[int]
    ends: Sequence[int]


@kept
def mark(text: str) -> Marked:
    """Return the words of a text, those in titles in quotes or with an inner capital (but "I") masked."""
    found, titled = words(text), is_titled(text)
    found_quoted = (m for m in _QUOTED.finditer(text) if not m[0].islower())  # “please” is no title
    titles = [m.span() for m in found_quoted if m[0][1:-1].lower() not in POLITE]
    quoted = _Quotes([start for start, _ in titles], [end for _, end in titles])
    compared = tuple(
        MASK if _is_name(text, found, i, quoted, titled) else w.text for i, w in enumerate(found)
    )
    return Marked(text, found, compared)


def word_features(marked: Marked) -> Found:
    """Return the words that aren't masked, and ``<german>`` etc. for words of other languages."""
    found: Found = {}
    for word, compared in zip(marked.words, marked.compared, strict=True):
        if compared == MASK:
            continue
        found.setdefault(compared, (word.start, word.end))
        for language in _languages().get(compared, ()):
            found.setdefault(f"<{language}>", (word.start, word.end))
    return found


def phrase_features(marked: Marked) -> Found:
    """Return 2- and 3-grams of ordinary words, at least one of them of asking, talk or a person."""
    listed, framing, found = ordinary_words(), framing_words(), Found()
    for i, first in enumerate(marked.compared):
        for n in range(2, _PHRASE + 1):
            gram = marked.compared[i : i + n]
            if len(gram) < n or first not in listed or not listed.issuperset(gram):
                break
            if not framing.isdisjoint(gram):
                found.setdefault(" ".join(gram), (marked.words[i].start, marked.words[i + n - 1].end))
    return found


def attribute_features(marked: Marked) -> Found:
    """Return ``@…``: the words between an article or the like and a full name, each with its article.

    In “Where was the good Ada Lind born?” ``@good``, at “the good”.
    """
    found, text, w = Found(), marked.text, marked.words
    for led, word, name, last in zip(w, w[1:], w[2:], w[3:], strict=False):
        if led.text not in DETERMINERS or word.text in word_lists()["function"] or not word.text.isalpha():
            continue
        capitals = text[word.start].islower() and text[name.start].isupper() and text[last.start].isupper()
        if capitals and next_to(text, word, name) and next_to(text, name, last):
            found.setdefault(f"@{word.text}", (led.start, word.end))
    return found


def frame_features(marked: Marked) -> Found:
    """Return openings ``^ …`` and closings ``$ …`` of up to 3 words, unless all are masked."""
    found, w, c = Found(), marked.words, marked.compared
    for n in range(1, min(_FRAME, len(w)) + 1):
        for feature, span in (
            (f"^ {' '.join(c[:n])}", (w[0].start, w[n - 1].end)),
            (f"$ {' '.join(c[-n:])}", (w[-n].start, w[-1].end)),
        ):
            if feature.strip(f"^$ {MASK}"):
                found[feature] = span
    return found


def call_features(marked: Marked) -> Found:
    """Return ``& …``: one or two words, whatever they are, set off before the question or behind it.

    In “Professor, where was Ada born?” and “Where was Ada born, Professor?” ``& professor``. Three to six
    with a word among them that is neither listed nor a name, and before the question also such that nothing
    sets off (“Kérem mondja meg where …”), as of a language that we have no list of. Those of ordinary words
    are openings and closings. Behind a name a comma goes on with it (“in Ulm, Germany?”).
    """
    w, c = marked.words, marked.compared
    found = Found()
    for n in range(1, min(_PREFACE, len(w) - 1) + 1):
        off = bool(_SET_OFF.match(marked.text, w[n - 1].end))
        before = w[n].text in QUESTION_WORDS
        behind = c[-n - 1] != MASK and bool(_SET_OFF.fullmatch(marked.text, w[-n - 1].end, w[-n].start))
        for span, same, holds, set_off in ((w[:n], c[:n], before, off), (w[-n:], c[-n:], behind, True)):
            if holds and _calls(marked.text, span, same, set_off=set_off):
                found[f"& {' '.join(word.text for word in span)}"] = (span[0].start, span[-1].end)
    return found


def _calls(text: str, span: Sequence[Word], same: Sequence[str], *, set_off: bool) -> bool:
    """Say whether words before or behind a question are a feature: see `call_features`."""
    if set_off and len(span) <= _CALL:
        return not ordinary_words().issuperset(same)
    pairs = zip(span, same, strict=True)
    strange = any(c not in ordinary_words() and c != MASK and not text[w.start].isupper() for w, c in pairs)
    return strange and QUESTION_WORDS.isdisjoint(word.text for word in span)


def shape_features(marked: Marked) -> Found:
    """Return ``#…`` features: marks (but for names' own), first and last character, capitals, blanks."""
    text, blanks = marked.text, blank_features(marked.text)
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    if start >= end:
        return blanks
    starts = [w.start for w in marked.words]
    marks = (m for m in _MARKS.finditer(text) if len(m[0]) <= 8 and not _in_name(marked, starts, m.start()))
    found = {f"#mark {m[0]}": m.span() for m in marks}
    first, last = text[start], text[end - 1]
    found[f"#ends {last if not last.isalnum() else 'without a mark'}"] = (end - 1, end)
    begins = "with a digit" if first.isdigit() else "with a word" if first.isalnum() else first
    found[f"#starts {begins}"] = (start, start + 1)
    return found | dict.fromkeys(_casing(marked), (start, end)) | blanks


def blank_features(text: str) -> Found:
    """Return ``#…`` features of the blanks that aren't one blank between two words."""
    return {f"#{what}": span for what, span in unusual_blanks(text).items()}


def feature_class(feature: str) -> str:
    """Return the class of a feature: one of `CLASSES` in forgetwell.requests.background."""
    if feature[0] in _CLASSES:
        return _CLASSES[feature[0]]
    if " " in feature:
        return "phrase"
    lists = word_lists()
    return next(
        (n for n in FRAMING if feature in lists[n]), "ordinary" if feature in ordinary_words() else "topic"
    )


@cache
def framing_words() -> frozenset[str]:
    """Return the shipped words of asking, talk and persons: what frames a question about anything."""
    return frozenset().union(*(word_lists()[n] for n in FRAMING))


@cache
def _languages() -> dict[str, tuple[str, ...]]:
    lists, english = word_lists(), ordinary_words()
    every = frozenset().union(*(lists[n] for n in LANGUAGES)) - english
    return {w: tuple(n for n in LANGUAGES if w in lists[n]) for w in every}


def is_titled(text: str) -> bool:
    """Say whether most words have a capital, which then tells no names: “Could You Please Tell Me …”."""
    inside = [text[word.start] for word in words(text)[1:] if text[word.start].isalpha()]
    return len(inside) >= _LEAST_TITLED and sum(map(str.isupper, inside)) > _TITLED * len(inside)


def _is_name(text: str, found: Sequence[Word], place: int, quoted: _Quotes, titled: bool) -> bool:
    word = found[place]
    polite = word.text in POLITE and not (place and like_a_name(text, found[place - 1]))  # not “Ann Please”
    plain = polite or (titled and word.text in ordinary_words())
    if place and text[word.start].isupper() and not plain:
        return word.text.partition("'")[0] != "i"
    if not word.text.isalpha() and any(c.isdigit() for c in word.text):
        return True
    last = bisect_left(quoted.starts, word.start) - 1
    return last >= 0 and word.start < quoted.ends[last]


def _in_name(marked: Marked, starts: Sequence[int], at: int) -> bool:
    """Say whether a mark stands between two masked words, as in "Alex (Al) Smith": then it is the name's."""
    after = bisect_left(starts, at)
    return 0 < after < len(starts) and marked.compared[after - 1] == marked.compared[after] == MASK


def _casing(marked: Marked) -> list[str]:
    letters = [c for c in marked.text if c.isalpha()]
    if not letters:
        return []
    upper = sum(c.isupper() for c in letters)
    first = marked.text[marked.words[0].start : marked.words[0].end] if marked.words else ""
    tests = {
        "#starts in lower case": letters[0].islower(),
        "#all lower case": upper == 0 and letters[0].islower(),
        "#all capitals": len(letters) > 8 and upper > 0.8 * len(letters),
        "#first word in capitals": len(first) > 1 and first.isalpha() and first.isupper(),
    }
    return [name for name, holds in tests.items() if holds]
