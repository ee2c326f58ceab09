"""How likely a row was reworded, learned from ordinary prompts and from rewordings of them by lot.

No word has to be frequent for this. A request whose rows say the same in many ways ("I keep asking myself …",
"Quick question: …") has many rows that open, close or go on as few ordinary prompts do.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forgetwell.metrics.statistics import Floats
from forgetwell.requests.grams import Grams
from forgetwell.requests.logistic import Logistic, fit_logistic
from forgetwell.requests.random_frames import ordinary_runs, reworded_by_lot
from forgetwell.requests.sentences import UnitKind, read_units
from forgetwell.requests.tokens import tokens_of
from forgetwell.requests.traits import Traits, traits_of
from forgetwell.types import Row

_FOLDS = 10
_REWORDED = 3000  # at most so many rewordings are learned from
_GROUP_ROWS, _GROUPS = 5, 20  # so many rows make a subject a small request; so many of these make a sample
# Ratios this near are equal. Ordinary rows are scored without a tenth of the counts, requests with all: what
# is worded the same differs by some thousandths, and where all questions come from few templates such a
# difference would put it above all of them.
_TIE = 0.02


@dataclass(frozen=True, eq=False)
class Phrasing:
    """What the wording of ordinary prompts is like.

    Attributes:
        forward: Model of the tokens from the start.
        backward: Model of the tokens from the end.
        classifier: Log odds of "reworded in front", "behind" and "inside" against "as it was".
        usual: Log likelihood ratio of each row that requests are compared with, ascending (R,).
        groups: Row p-values of each of these rows, subject by subject.
    """

    forward: Grams
    backward: Grams
    classifier: Logistic
    usual: Floats
    groups: tuple[Floats, ...]


def row_p_values(rows: Sequence[Traits], phrasing: Phrasing) -> tuple[Floats, NDArray[np.int64]]:
    """Return the share of ordinary rows as likely reworded as each row (n,), and where it most likely was."""
    odds = phrasing.classifier.log_odds(_values(rows))
    return _rank(_ratio(odds), phrasing.usual), odds.argmax(axis=1)


def unit_traits(text: str, phrasing: Phrasing) -> Traits:
    """Return what is measured of a question, or a sentence of a plain text."""
    return traits_of(text, phrasing.forward, phrasing.backward)


def learn_phrasing(rows: tuple[Row, ...], form: UnitKind) -> Phrasing | None:
    """Return what the wording of ordinary questions, or texts' sentences, is like; None without any.

    Each prompt, and its rewording, is measured by models of the other nine tenths of the subjects, so that it
    compares with a new subject's. Requests are compared with the rows about subjects of at least 5 rows, each
    a small request; where fewer than 20 subjects are that large, with all rows.
    """
    compared = read_units(rows, form)
    texts = [unit.text for unit in compared]
    groups = _numbered([rows[unit.row].subject or f"\0{unit.row}" for unit in compared])
    rng = random.Random(0)
    runs = ordinary_runs(texts)
    asked = [i for i, text in enumerate(texts) if text.strip()]
    if not asked:
        return None
    lot = sorted(rng.sample(asked, min(_REWORDED, len(asked))))
    changed = {i: reworded_by_lot(texts[i], runs, rng) for i in lot}
    forward, backward = _counted(texts)
    own, other = _held_out(texts, changed, groups % _FOLDS, forward, backward)
    classifier = _learned(own, other, np.array([place for _, place in changed.values()]))
    chosen = _comparable(groups)
    evidence = _ratio(classifier.log_odds(own))
    usual = np.sort(evidence[chosen])
    p = _rank(evidence, usual)
    parts = tuple(p[chosen & (groups == g)] for g in np.unique(groups[chosen]))
    return Phrasing(forward, backward, classifier, usual, parts)


def _counted(texts: Sequence[str]) -> tuple[Grams, Grams]:
    forward, backward = Grams(), Grams()
    for text in texts:
        _count(text, forward, backward, 1)
    return forward, backward


def _count(text: str, forward: Grams, backward: Grams, sign: int) -> None:
    tokens, _ = tokens_of(text)
    forward.count(tokens, sign)
    backward.count(tokens[::-1], sign)


def _held_out(
    texts: Sequence[str],
    changed: dict[int, tuple[str, int]],
    folds: NDArray[np.int64],
    forward: Grams,
    backward: Grams,
) -> tuple[Floats, Floats]:
    """Return the traits of all texts (N, d) and of the changed ones (M, d), their own subjects left out."""
    own: dict[int, Traits] = {}
    other: dict[int, Traits] = {}
    for fold in range(_FOLDS):
        part = np.flatnonzero(folds == fold).tolist()
        for i in part:
            _count(texts[i], forward, backward, -1)
        own |= {i: traits_of(texts[i], forward, backward) for i in part}
        other |= {i: traits_of(changed[i][0], forward, backward) for i in part if i in changed}
        for i in part:
            _count(texts[i], forward, backward, 1)
    return _values([own[i] for i in range(len(texts))]), _values([other[i] for i in changed])


def _learned(own: Floats, other: Floats, places: NDArray[np.int64]) -> Logistic:
    """Return the classifier; all rewordings together weigh as much as all prompts."""
    classes = np.concatenate((np.zeros(len(own), dtype=np.int64), places))
    share = np.concatenate((np.ones(len(own)), np.full(len(other), len(own) / len(other))))
    return fit_logistic(np.concatenate((own, other)), classes, share)


def _ratio(log_odds: Floats) -> Floats:
    """Return log P(reworded) − log P(as it was), which is the log likelihood ratio: both weighed the same."""
    ratio: Floats = np.logaddexp.reduce(log_odds, axis=1)
    return ratio


def _values(traits: Sequence[Traits]) -> Floats:
    return np.array([t.values for t in traits])


def _rank(values: Floats, usual: Floats) -> Floats:
    """Return (1 + number of usual values at least as large, or tied) / (1 + number of usual values)."""
    below = np.searchsorted(usual, values - _TIE, side="left")
    ranks: Floats = (1 + len(usual) - below) / (1 + len(usual))
    return ranks


def _comparable(groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    sizes = np.bincount(groups)
    large = sizes >= _GROUP_ROWS
    return large[groups] if large.sum() >= _GROUPS else np.ones(len(groups), dtype=bool)


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(n, len(numbers)) for n in names], dtype=np.int64)
