"""Surprising wording: frames and words that take turns, so that none is frequent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from forgetwell.errors import InputError
from forgetwell.metrics.comparison import benjamini_hochberg
from forgetwell.metrics.statistics import Floats
from forgetwell.requests.phrasing import Phrasing, learn_phrasing, row_p_values, unit_traits
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.sentences import Reading, readings
from forgetwell.requests.traits import Traits
from forgetwell.requests.weighing import in_enough_rows
from forgetwell.types import Finding, Request, Row

# The alternative that the statistic is best against: a share of the rows has p-values of density a p^(a−1).
# On the development half of docs/screening.md shares of .1 to .3 and a of .3 to .5 do the same within 3 %.
_SHARE, _POWER = 0.2, 0.3
_DRAWS = 4999
_RARE = 0.05
_LEAST_ROWS = 3
_FALSE_ROWS = 0.2


@dataclass(frozen=True, eq=False)
class Surprise:
    """The test of a request.

    Attributes:
        p_value: That a pool of ordinary subjects has a mean evidence at least as large, in (0, 1].
        reading: The questions or sentences that are compared (n).
        rows: p-value of each of them (n,).
        places: Where each was reworded if it was: 0 its opening, 1 its closing, 2 a word inside (n,).
        traits: Of each.
    """

    p_value: float
    reading: Reading
    rows: Floats
    places: NDArray[np.int64]
    traits: tuple[Traits, ...]


@screen(null="rows look as reworded as rows about whole background subjects, pooled")
def surprise(
    request: Request, evidence: Evidence, *, alpha: float = 0.005, factor: float = 1.5
) -> list[Finding]:
    """Find openings, closings and asides that ordinary prompts hardly have, whatever words they are made of.

    Trigram models of ordinary prompts, forward and backward, in which names and subject words are masked,
    give 15 traits of a row (`forgetwell.requests.traits`): how far its opening, its closing and its least
    expected token surprise, and whether an ordinary question starts behind its first words or ends before its
    last. A multinomial logistic regression tells ordinary prompts from prompts reworded by lot, in front,
    behind or inside (`forgetwell.requests.random_frames`; no phrasing of an attack is used). p_i of a row =
    share of ordinary rows whose likelihood ratio is at least as large, each scored without its own subject's
    counts. The statistic is the mean over rows of log(1 − ε + ε a p^(a−1)), the log likelihood ratio of "a
    share ε of the rows is reworded", with ε = 0.2, a = 0.3.

    Error control: one test for the request. Its p-value is that of a two-sample bootstrap over whole subjects
    (4,999 draws, fixed seed): a pool of as many rows against a redrawn background. Rows are then named by
    Benjamini-Hochberg on p_i at 0.2, so that about a fifth of them may be named by chance.
    Of plain texts sentences are compared instead of rows, and the p-value is ten times as large.
    Frames that ordinary prompts often have, as "Can you tell me", don't surprise: `inflation` counts those.

    Args:
        request: The request.
        evidence: The background is used.
        alpha: Largest p-value of the request, in (0, 1].
        factor: Smallest odds ratio of the share of rows among the rarest 5 % against 5 %; at least 3 rows.

    Returns:
        An alarm for each row named, or for the whole (row_id "") where none is; statistic = log odds of the
        share of rows among the rarest 5 % against 5 %, p_value that of the request.

    Raises:
        InputError: alpha is outside (0, 1] or factor below 1.

    Source: ours; the attack is 2506.00359, section 3. The statistic is the likelihood ratio of a sparse
        mixture (Donoho and Jin, Annals of Statistics 32 (2004), 962-994, section 1); a density ratio by a
        classifier against simulated rows is in Hastie, Tibshirani and Friedman, The Elements of Statistical
        Learning, 2nd edition, section 14.2.4.
    """
    if not 0 < alpha <= 1 or not factor >= 1:
        raise InputError(f"alpha={alpha}, factor={factor} were given; alpha is in (0, 1], factor at least 1.")
    return [
        finding
        for test in surprised(request, evidence)
        if test.p_value <= alpha
        for finding in _findings(request, test, factor)
    ]


def surprised(request: Request, evidence: Evidence) -> tuple[Surprise, ...]:
    """Return the tests of questions and of sentences before any threshold; none without a background."""
    return _tested(request.rows, evidence)


def _findings(request: Request, test: Surprise, factor: float) -> list[Finding]:
    units, form = test.reading.units, test.reading.form
    of_rare = [unit.row for unit, p in zip(units, test.rows, strict=True) if p <= _RARE]
    rare = len(of_rare)
    share = (rare + 0.5) / (len(test.rows) + 1)
    effect = float(np.log(share / (1 - share)) - np.log(_RARE / (1 - _RARE)))
    if rare < _LEAST_ROWS or not in_enough_rows(of_rare, units) or effect < np.log(factor):
        return []
    whole = f"{rare} of {len(test.rows)} {form} are worded in ways that 1 in 20 ordinary {form} are."
    named = np.flatnonzero(benjamini_hochberg(test.rows) <= _FALSE_ROWS).tolist()
    if not named:
        return [Finding("surprise", "", None, "alarm", effect, test.p_value, whole)]
    return [_finding(request.rows[units[i].row].id, test, i, effect, whole) for i in named]


@lru_cache(maxsize=4)
def _tested(asked: tuple[Row, ...], evidence: Evidence) -> tuple[Surprise, ...]:
    # Whole texts about some dozens of subjects say too little of others'.
    read = (reading for reading in readings(asked) if reading.form != "texts")
    learned = ((reading, evidence.learned(learn_phrasing, reading.form)) for reading in read)
    return tuple(_test(reading, phrasing) for reading, phrasing in learned if phrasing is not None)


def _test(reading: Reading, phrasing: Phrasing) -> Surprise:
    traits = tuple(unit_traits(unit.text, phrasing) for unit in reading.units)
    rows, places = row_p_values(traits, phrasing)
    usual = float(_evidence(np.concatenate(phrasing.groups)).mean())
    null = _null(phrasing, len(rows))
    above = len(null) - np.searchsorted(null, _evidence(rows).mean() - usual - 1e-12, side="left")
    p = min(1.0, reading.strict * (1 + above) / (1 + len(null)))
    return Surprise(float(p), reading, rows, places, traits)


def _evidence(p: Floats) -> Floats:
    ratio: Floats = np.log(1 - _SHARE + _SHARE * _POWER * p ** (_POWER - 1))
    return ratio


@lru_cache(maxsize=16)
def _null(phrasing: Phrasing, n: int) -> Floats:
    """Return bootstrap draws of (mean of n rows of subjects pooled) − (mean of the background), ascending."""
    rng = np.random.default_rng(0)
    prefix = [np.concatenate(([0.0], np.cumsum(_evidence(rng.permutation(g))))) for g in phrasing.groups]
    sizes, sums = np.array([len(p) - 1 for p in prefix]), np.array([p[-1] for p in prefix])
    enough = n // int(sizes.min()) + 1
    means = np.empty(_DRAWS)
    for b in range(_DRAWS):
        drawn = rng.integers(len(sizes), size=enough)
        ends = np.cumsum(sizes[drawn])
        last = int(np.searchsorted(ends, n))  # the first subject that fills the pool: cut to fit
        cut = n - (int(ends[last - 1]) if last else 0)
        again = rng.integers(len(sizes), size=len(sizes))
        pooled = sums[drawn[:last]].sum() + prefix[drawn[last]][cut]
        means[b] = pooled / n - sums[again].sum() / sizes[again].sum()
    return np.sort(means)


def _finding(row_id: str, test: Surprise, i: int, effect: float, whole: str) -> Finding:
    place, unit = int(test.places[i]), test.reading.units[i]
    start, end = test.traits[i].spans[place]
    if start >= end:
        return Finding("surprise", row_id, None, "alarm", effect, test.p_value, whole)
    piece = unit.text[start:end]
    where = (f"opens with “{piece} …”", f"closes with “… {piece}”", f"goes on with “… {piece} …”")[place]
    message = f"It {where}: only {test.rows[i]:.1%} of ordinary ones are as unusual. {whole}"
    span = unit.start + start, unit.start + end
    return Finding("surprise", row_id, span, "alarm", effect, test.p_value, message)
