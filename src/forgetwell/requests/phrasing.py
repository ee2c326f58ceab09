"""How usual the wording around a subject is: an n-gram model of what asks, with subject words masked.

No word has to be frequent for this. A request whose rows say the same in many ways ("I keep asking myself …",
"Quick question: …") has many rows that open, close or go on as few ordinary prompts do.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import regex
from numpy.typing import NDArray

from forgetwell.metrics.statistics import Floats
from forgetwell.requests.features import FRAMING, MASK, Span, mark
from forgetwell.requests.words import screened_text, word_lists
from forgetwell.types import Row

EDGE = 4  # tokens of an opening or a closing
_ORDER = 3
_VOCABULARY = 1000  # an unseen token has 1 / this
_FOLDS = 10
_GROUP_ROWS, _GROUPS = 5, 20  # so many rows make a subject a small request; so many of these make a sample
_OTHER, _START, _END = "…", "<", ">"
_MARK = regex.compile(r"[^\w\s'’\"“”‘()\-]")


@dataclass(frozen=True, slots=True)
class Surprises:
    """How far a text surprises at three places, in nats, and where each stands.

    Attributes:
        values: −log probability of the first 4 tokens, given the start; of the last 4, given the end; and the
            largest −log p(token | two before) − log p(token | two after) of a token.
        spans: Of these places; (0, 0) in a text without tokens.
    """

    values: tuple[float, float, float]
    spans: tuple[Span, Span, Span]


@dataclass(frozen=True, eq=False)
class Phrasing:
    """What the wording of ordinary prompts is like.

    Attributes:
        forward: Model of the tokens from the start.
        backward: Model of the tokens from the end.
        places: Surprise of all ordinary prompts at each place, ascending (N,), their own subjects left out.
        usual: −log of the smallest rank of each row that requests are compared with, ascending (R,).
        groups: Row p-values of each of these rows, subject by subject.
    """

    forward: _Grams
    backward: _Grams
    places: tuple[Floats, ...]
    usual: Floats
    groups: tuple[Floats, ...]


def row_p_values(rows: Sequence[Surprises], phrasing: Phrasing) -> tuple[Floats, NDArray[np.int64]]:
    """Return each row's share of ordinary rows whose rarest place is as rare (n,), and which place it is."""
    ranks = _ranks(rows, phrasing.places)
    return _rank(-np.log(ranks.min(axis=0)), phrasing.usual), ranks.argmin(axis=0)


def surprises_of(row: Row, phrasing: Phrasing) -> Surprises:
    """Return how far a row's text surprises."""
    return _surprises(*_tokens(screened_text(row)), phrasing.forward, phrasing.backward)


@lru_cache(maxsize=4)
def learn_phrasing(rows: tuple[Row, ...]) -> Phrasing | None:
    """Return what the wording of ordinary prompts is like; None without prompts. A pure function, remembered.

    Each prompt's own surprise comes from models of the other nine tenths of the subjects, so that it
    compares with that of a new subject. Requests are compared with the rows about subjects of at least 5
    rows, each a small request; where fewer than 20 subjects are that large, with all rows.
    """
    if not rows:
        return None
    texts = [_tokens(screened_text(row)) for row in rows]
    groups = _numbered([row.subject or f"\0{i}" for i, row in enumerate(rows)])
    forward, backward = _Grams(), _Grams()
    for tokens, _ in texts:
        _count(tokens, forward, backward, 1)
    held_out = _held_out(texts, groups % _FOLDS, forward, backward)
    places = tuple(np.sort(v) for v in np.array([s.values for s in held_out]).T)
    rarest = -np.log(_ranks(held_out, places).min(axis=0))
    chosen = _comparable(groups)
    usual = np.sort(rarest[chosen])
    p = _rank(rarest, usual)
    own = tuple(p[chosen & (groups == g)] for g in np.unique(groups[chosen]))
    return Phrasing(forward, backward, places, usual, own)


class _Grams:
    """Counts of n-grams, with Witten-Bell probabilities.

    p_k(w | h) = (c(h, w) + u(h) p_{k−1}(w | h′)) / (c(h) + u(h)), u(h) the number of distinct tokens seen
    after h, h′ = h without its first token, p_{−1} = 1 / 1000.

    Source: Witten and Bell, IEEE Transactions on Information Theory 37 (1991), 1085-1094, method C.
    """

    def __init__(self) -> None:
        self._after: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        self._total: Counter[tuple[str, ...]] = Counter()

    def count(self, tokens: Sequence[str], sign: int) -> None:
        """Add (1) or take away (-1) a text's n-grams."""
        for history, token in _grams((*tokens, _END)):
            for k in range(_ORDER):
                part = history[k:]
                self._total[part] += sign
                after = self._after[part]
                after[token] += sign
                if not after[token]:
                    del after[token]

    def surprises(self, tokens: Sequence[str]) -> list[float]:
        """Return −log p(token | the two before) of every token and of the end."""
        return [-math.log(self._probability(h, t)) for h, t in _grams((*tokens, _END))]

    def _probability(self, history: tuple[str, ...], token: str) -> float:
        p = 1 / _VOCABULARY
        for k in range(_ORDER - 1, -1, -1):
            total = self._total.get(history[k:], 0)
            if not total:
                break
            after = self._after[history[k:]]
            p = (after.get(token, 0) + len(after) * p) / (total + len(after))
        return p


def _grams(tokens: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Give (the two tokens before, token) for each token."""
    padded = (*[_START] * (_ORDER - 1), *tokens)
    for i, token in enumerate(tokens):
        yield padded[i : i + _ORDER - 1], token


def _count(tokens: Sequence[str], forward: _Grams, backward: _Grams, sign: int) -> None:
    forward.count(tokens, sign)
    backward.count(tokens[::-1], sign)


def _held_out(
    texts: Sequence[tuple[list[str], list[Span]]], folds: NDArray[np.int64], forward: _Grams, backward: _Grams
) -> list[Surprises]:
    found: dict[int, Surprises] = {}
    for fold in range(_FOLDS):
        own = np.flatnonzero(folds == fold).tolist()
        for i in own:
            _count(texts[i][0], forward, backward, -1)
        found |= {i: _surprises(*texts[i], forward, backward) for i in own}
        for i in own:
            _count(texts[i][0], forward, backward, 1)
    return [found[i] for i in range(len(texts))]


def _surprises(tokens: list[str], spans: list[Span], forward: _Grams, backward: _Grams) -> Surprises:
    before, after = forward.surprises(tokens), backward.surprises(tokens[::-1])
    both = [b + a for b, a in zip(before, after[-2::-1], strict=False)]  # without the ends
    opening, closing, inside = sum(before[:EDGE]), sum(after[:EDGE]), max(both, default=0.0)
    if not spans:
        return Surprises((opening, closing, inside), ((0, 0),) * 3)
    first, last = spans[:EDGE], spans[-EDGE:]
    places = (first[0][0], first[-1][1]), (last[0][0], last[-1][1]), spans[both.index(inside)]
    return Surprises((opening, closing, inside), places)


def _ranks(rows: Sequence[Surprises], places: Sequence[Floats]) -> Floats:
    """Return the rank of each row's surprise at each place (3, n)."""
    values = np.array([row.values for row in rows]).T
    return np.array([_rank(v, usual) for v, usual in zip(values, places, strict=True)])


def _rank(values: Floats, usual: Floats) -> Floats:
    """Return (1 + number of usual values at least as large) / (1 + number of usual values)."""
    below = np.searchsorted(usual, values - 1e-9, side="left")
    ranks: Floats = (1 + len(usual) - below) / (1 + len(usual))
    return ranks


def _comparable(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    sizes = np.bincount(groups)
    large = sizes >= _GROUP_ROWS
    return large[groups] if large.sum() >= _GROUPS else np.ones(len(groups), dtype=bool)


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(n, len(numbers)) for n in names], dtype=np.int64)


def _tokens(text: str) -> tuple[list[str], list[Span]]:
    """Return the words that ask as they are, names as ·, other words as …, marks; with their places."""
    marked, asking = mark(text), _asking_words()
    found: list[tuple[str, Span]] = []
    at = 0
    for word, compared in zip(marked.words, marked.compared, strict=True):
        found += _marks(text, at, word.start)
        at = word.end
        token = compared if compared == MASK or compared in asking else _OTHER
        if token == MASK and found and found[-1][0] == MASK:
            found[-1] = (MASK, (found[-1][1][0], word.end))
        else:
            found.append((token, (word.start, word.end)))
    found += _marks(text, at, len(text))
    return [token for token, _ in found], [span for _, span in found]


def _marks(text: str, start: int, end: int) -> list[tuple[str, Span]]:
    return [(m[0], m.span()) for m in _MARK.finditer(text, start, end)]


@cache
def _asking_words() -> frozenset[str]:
    """Return the listed words by which a question is put, whatever it is about."""
    return frozenset().union(*(word_lists()[name] for name in ("function", *FRAMING)))
