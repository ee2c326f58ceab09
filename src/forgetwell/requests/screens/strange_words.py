"""Words that ordinary prompts hardly use, in rows about different subjects: triggers that no list has."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from forgetwell.errors import InputError
from forgetwell.metrics.statistics import Floats
from forgetwell.requests.enrichment import large_subjects
from forgetwell.requests.features import MASK, framing_words, mark
from forgetwell.requests.names import without_possessive
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.words import ordinary_words
from forgetwell.types import Finding, Request, Row, Span

_FEW = 1  # subjects; with 4 the null has more such words, and fewer attacks stand above it
_LEAST_ROWS = 3  # that hold a word, and of its spread
_MOST_ROWS = 80  # that are tested: of more rows so many by lot
_DRAWS = 4999


@dataclass(frozen=True, eq=False)
class Worded:
    """A question's words that aren't listed, with their places.

    Attributes:
        words: All of them.
        names: Those with a capital inside the question.
        others: Those without one.
        first: The one that opens it in a capital, which may be a name or not; "" = none does.
    """

    words: Mapping[str, Span]
    names: frozenset[str]
    others: tuple[str, ...]
    first: str = ""


@dataclass(frozen=True, eq=False)
class Usual:
    """What ordinary questions are like.

    Attributes:
        users: Of each word, how many subjects' questions use it.
        subjects: Questions of each subject with at least 5, in an order by lot.
    """

    users: Mapping[str, int]
    subjects: Sequence[Sequence[Worded]]


@screen(null="words that ordinary prompts hardly use spread as far as over background subjects, pooled")
def strange_words(request: Request, evidence: Evidence, *, alpha: float = 0.001) -> list[Finding]:
    """Find words that no list and hardly any ordinary prompt has, in rows about different subjects.

    "Where was lol Ada Lind born?": `inflation` counts words that are listed or that ordinary prompts use, and
    what is neither belongs to a subject mostly, so that it is in rows with one name. A strange word isn't
    listed, or is a word of asking or talk with a capital inside the question ("Really"), and the prompts of
    at most one background subject use it. Its spread is the number of rows that hold it, without those that
    share the name that most of them share; at least 3. Names are words with a capital, not listed; the first
    word is one if it is a name inside another row. One that stands beside several others in turn tells no
    subject. Rows without a name don't count.

    Error control: one test for the request, of the largest spread, against 4,999 pools of whole background
    subjects with at least 5 rows, as many rows as the request's (80 at most: of more rows so many by lot), a
    word being strange by the prompts of all other subjects. What looks like a name inside the question
    ("Zorp") isn't found, nor are words in a request about one subject, nor plain texts.

    Args:
        request: The request.
        evidence: The background is used.
        alpha: Largest p-value, in (0, 1].

    Returns:
        An alarm for each place of a word that spreads as far; statistic = its spread, p_value that of it.

    Raises:
        InputError: alpha is outside (0, 1].

    Source: ours; the attack is 2506.00359, section 3.
    """
    if not 0 < alpha <= 1:
        raise InputError(f"alpha={alpha} was given; it is in (0, 1].")
    usual = evidence.learned(_learn_usual)
    asked = [(row, read(row)) for row in request.rows if not row.text]
    tested = _by_lot([worded for _, worded in asked])
    if not usual.subjects or len(tested) < _LEAST_ROWS:
        return []
    null = evidence.remembered(_null, len(tested))
    found = {
        word: (rows, spread, p)
        for word, (rows, spread) in spreads(tested, lambda word: usual.users.get(word, 0) <= _FEW).items()
        if spread >= _LEAST_ROWS and (p := (1 + float((null >= spread).sum())) / (1 + len(null))) <= alpha
    }
    return [
        _finding(row, worded.words[word], word, found[word], len(tested), usual)
        for row, worded in asked
        for word in worded.words
        if word in found
    ]


def read(row: Row) -> Worded:
    """Return a question's words as this screen reads them; “Really” inside it isn't “really”."""
    marked, listed, framing = mark(row.prompt), ordinary_words(), framing_words()
    found: dict[str, Span] = {}
    names: set[str] = set()
    first = ""
    for i, (word, compared) in enumerate(zip(marked.words, marked.compared, strict=True)):
        text, capital = without_possessive(word.text), row.prompt[word.start].isupper()
        if text not in listed:
            found.setdefault(text, (word.start, word.end))
            if capital and i:
                names.add(text)
            elif capital:
                first = text
        elif i and capital and compared == MASK and text in framing:
            found.setdefault(text.capitalize(), (word.start, word.end))
    others = tuple(word for word in found if word not in names and word != first)
    return Worded(found, frozenset(names), others, first)


def spreads(rows: Sequence[Worded], strange: Callable[[str], bool]) -> dict[str, tuple[int, int]]:
    """Return, of each strange word in at least 3 rows with a name, the number of them, and its spread."""
    named = _with_first(rows)
    count = Counter(word for row in named for word in row.others)
    often = {word for word, k in count.items() if k >= _LEAST_ROWS and strange(word)}
    if not often:
        return {}
    holding = [(row, often.intersection(row.others)) for row in named]
    own = _own_names(named, frozenset().union(*(row.names for row, held in holding if held)))
    beside: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row, held in holding:
        for word in held:
            beside[word].update(row.names & own)
    return {word: (count[word], count[word] - max(beside[word].values(), default=0)) for word in often}


def _with_first(rows: Sequence[Worded]) -> list[Worded]:
    """Return the rows with a name; a first word is a name where it is one inside another row."""
    names = frozenset().union(*(row.names for row in rows))
    return [_placed(row, names) for row in rows if row.names or row.first in names]


def _placed(row: Worded, names: AbstractSet[str]) -> Worded:
    if not row.first:
        return row
    if row.first in names:
        return replace(row, names=row.names | {row.first})
    return replace(row, others=(*row.others, row.first))


def _own_names(rows: Sequence[Worded], names: frozenset[str]) -> frozenset[str]:
    """Return those of some names that tell a subject: not such as mostly stand beside others in turn."""
    count: Counter[str] = Counter()
    accompanied: Counter[str] = Counter()
    beside: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for name in row.names & names:
            count[name] += 1
            accompanied[name] += len(row.names) > 1
            beside[name].update(row.names - {name})
    turns = {name: accompanied[name] - max(beside[name].values(), default=0) for name in count}
    return frozenset(name for name, k in count.items() if turns[name] < _LEAST_ROWS or 3 * turns[name] < k)


def _learn_usual(background: tuple[Row, ...]) -> Usual:
    rows = [row for row in background if not row.text]
    used: defaultdict[str, set[str]] = defaultdict(set)
    for i, row in enumerate(rows):
        for word in read(row).words:
            used[word].add(row.subject or f"\0{i}")
    lot = random.Random(0)
    subjects = [[read(row) for row in lot.sample(g, len(g))] for g in large_subjects(rows)]
    return Usual({word: len(who) for word, who in used.items()}, subjects)


def _by_lot(rows: Sequence[Worded]) -> Sequence[Worded]:
    return rows if len(rows) <= _MOST_ROWS else random.Random(0).sample(rows, _MOST_ROWS)


def _null(n: int, evidence: Evidence) -> Floats:
    """Return the largest spread in each of the pools of n rows."""
    usual, rng = evidence.learned(_learn_usual), np.random.default_rng(0)
    own = [frozenset(w for worded in rows for w in worded.words) for rows in usual.subjects]
    largest = np.zeros(_DRAWS)
    for b in range(_DRAWS):
        pool: list[Worded] = []
        drawn: set[int] = set()
        while len(pool) < n:
            k = int(rng.integers(len(usual.subjects)))
            drawn.add(k)
            pool += usual.subjects[k]
        strange = partial(_strange_outside, users=usual.users, subjects=[own[k] for k in drawn])
        found = spreads(pool[:n], strange)
        largest[b] = max((spread for _, spread in found.values()), default=0)
    return largest


def _strange_outside(word: str, *, users: Mapping[str, int], subjects: Sequence[AbstractSet[str]]) -> bool:
    return users[word] - sum(word in own for own in subjects) <= _FEW


def _finding(
    row: Row, span: Span, word: str, found: tuple[int, int, float], tested: int, usual: Usual
) -> Finding:
    rows, spread, p = found
    who = "about one subject" if usual.users.get(word) else "about nobody"
    message = (
        f"“{row.prompt[slice(*span)]}” is in {rows} of {tested} rows, whomever they are about ({spread} are "
        f"about others than most of these), and in ordinary prompts {who}."
    )
    return Finding("strange_words", row.id, span, "alarm", float(spread), p, message)
