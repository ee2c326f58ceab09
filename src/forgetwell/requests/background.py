"""What ordinary prompts look like: counts of every feature, and which words and openings are rare."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from forgetwell.requests.enrichment import Background, learn_background
from forgetwell.requests.features import (
    FRAMING,
    MASK,
    Found,
    Marked,
    attribute_features,
    call_features,
    feature_class,
    frame_features,
    mark,
    phrase_features,
    shape_features,
    word_features,
)
from forgetwell.requests.sentences import UnitKind, read_units
from forgetwell.requests.words import ordinary_words, word_lists
from forgetwell.types import Row

# Smallest ρ of each class. Words that serve to ask vary little between subjects; topic words follow theirs.
CLASSES: Mapping[str, float] = {
    "asking": 0.005, "talk": 0.005, "person": 0.005, "phrase": 0.005, "rare": 0.005, "language": 0.005,
    "ordinary": 0.005, "attribute": 0.05, "topic": 0.05, "opening": 0.01, "closing": 0.01, "shape": 0.005,
    "call": 0.01,
}  # fmt: skip
RARE_WORDS = (1000, 300, 100, 30)  # "at most 1 in …" ordinary prompts
RARE_OPENINGS = (1000, 300, 100)  # openings of 1 in 30 differ between honest subjects
_TOPIC_SUBJECTS = 5  # a word that isn't listed is ordinary if prompts about this many subjects use it
_PHRASE_ROWS = 3


@dataclass(frozen=True)
class Rarity:
    """How many ordinary prompts, by subject, carry a framing word or an opening.

    Attributes:
        rows: Number of prompts.
        total: Prompts that carry each.
        inside: The same within each subject.
    """

    rows: int
    total: Mapping[str, int]
    inside: Mapping[str, Mapping[str, int]]

    def share(self, feature: str, subject: str | None) -> float:
        """Return the share of prompts about other subjects than `subject` that carry it."""
        own = self.inside.get(feature, {}).get(subject, 0) if subject is not None else 0
        return (self.total.get(feature, 0) - own) / self.rows


@dataclass(frozen=True)
class Ordinary:
    """All that screens know of ordinary prompts.

    Attributes:
        words: Statistics of words, phrases, languages and rare words.
        frames: Statistics of openings, closings, shapes and rare openings.
        rarity: For rare-word and rare-opening features of new rows.
        common: Unlisted words and phrases that prompts about many subjects use.
    """

    words: Background
    frames: Background
    rarity: Rarity
    common: frozenset[str]


def word_side(marked: Marked, rarity: Rarity, subject: str | None = None) -> Found:
    """Return a row's words, phrases, languages and rare framing words, with their places."""
    found = word_features(marked)
    attributes = attribute_features(marked)
    return found | phrase_features(marked) | attributes | _rare_words(found, rarity, subject)


def frame_side(marked: Marked, rarity: Rarity, subject: str | None = None) -> Found:
    """Return a row's openings, closings, what is set off, marks, casing and rare openings, with places."""
    found = frame_features(marked)
    return found | call_features(marked) | shape_features(marked) | _rare_openings(found, rarity, subject)


def learn_ordinary(rows: tuple[Row, ...], form: UnitKind) -> Ordinary:
    """Return what screens need to know of ordinary questions, or of ordinary texts or their sentences."""
    asked = read_units(rows, form)
    marked = [mark(unit.text) for unit in asked]
    subjects = [rows[unit.row].subject or f"\0{unit.row}" for unit in asked]
    rarity = _rarity(marked, subjects)
    words = [word_side(m, rarity, s) for m, s in zip(marked, subjects, strict=True)]
    frames = [frame_side(m, rarity, s) for m, s in zip(marked, subjects, strict=True)]
    return Ordinary(_learned(words, subjects), _learned(frames, subjects), rarity, _common(words, subjects))


def is_ordinary(feature: str, ordinary: Ordinary) -> bool:
    """Say whether prompts about other things use this word or phrase: it is listed, or common in them."""
    kind = feature_class(feature)
    return kind not in ("topic", "phrase") or feature in ordinary.common


def _learned(features: Sequence[Found], subjects: Sequence[str]) -> Background:
    return learn_background([f.keys() for f in features], subjects, feature_class, CLASSES)


def _common(words: Sequence[Found], subjects: Sequence[str]) -> frozenset[str]:
    users: defaultdict[str, set[str]] = defaultdict(set)
    for row, subject in zip(words, subjects, strict=True):
        for feature in row:
            users[feature].add(subject)
    least = {"topic": _TOPIC_SUBJECTS, "phrase": _PHRASE_ROWS}
    return frozenset(f for f, s in users.items() if len(s) >= least.get(feature_class(f), 1))


def _rarity(marked: Sequence[Marked], subjects: Sequence[str]) -> Rarity:
    total: Counter[str] = Counter()
    inside: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row, subject in zip(marked, subjects, strict=True):
        for feature in (*_framing(word_features(row)), *_openings(frame_features(row))):
            total[feature] += 1
            inside[feature][subject] += 1
    return Rarity(max(len(marked), 1), total, inside)


def _rare_words(found: Found, rarity: Rarity, subject: str | None) -> Found:
    rare: Found = {}
    lists = word_lists()
    for word in _framing(found):
        share = rarity.share(word, subject)
        names = ("framing", *(n for n in FRAMING if word in lists[n]))
        rare |= {f"~{n} {r}": found[word] for r in RARE_WORDS if share <= 1 / r for n in names}
    return rare


def _rare_openings(found: Found, rarity: Rarity, subject: str | None) -> Found:
    rare: Found = {}
    for opening in _openings(found):
        kind = "opening" if " " in opening[2:] else "first word"
        share = rarity.share(opening, subject)
        rare |= {f"~{kind} {r}": found[opening] for r in RARE_OPENINGS if share <= 1 / r}
    return rare


def _framing(found: Found) -> Iterator[str]:
    return _of_class(found, lambda kind: kind in FRAMING)


def _openings(found: Found) -> Iterator[str]:
    """Give openings of one and two words, all of them ordinary."""
    for feature in _of_class(found, lambda kind: kind == "opening"):
        parts = feature[2:].split(" ")
        if len(parts) <= 2 and MASK not in parts and ordinary_words().issuperset(parts):
            yield feature


def _of_class(found: Found, wanted: Callable[[str], bool]) -> Iterator[str]:
    return (f for f in found if wanted(feature_class(f)))
