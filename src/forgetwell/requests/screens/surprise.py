"""Surprising wording: frames and words that take turns, so that none is frequent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forgetwell.errors import InputError
from forgetwell.metrics.comparison import benjamini_hochberg
from forgetwell.metrics.statistics import Floats
from forgetwell.requests.phrasing import Phrasing, learn_phrasing, row_p_values, unit_traits
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.sentences import Reading, UnitKind, read_as
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
# Beyond so many of the draws a p-value is read from their tail: of so few the next one says little.
_COUNTED = 20
_TAIL = 0.1
_ALIKE = 1e-9  # draws that differ by rounding alone have no tail
_LEAST_P = 1e-300  # no p-value is 0
# Of plain texts p-values are larger: the null knows some dozens of subjects. Chosen as the rest.
_STRICT: Mapping[UnitKind, float] = {"rows": 1.0, "texts": 10.0}


@dataclass(frozen=True, eq=False)
class Worded:
    """How reworded some questions, texts or sentences look.

    Attributes:
        reading: They themselves (n).
        phrasing: How ordinary ones are worded.
        rows: p-value of each (n,).
        places: Where each was reworded if it was: 0 its opening, 1 its closing, 2 a word inside (n,).
        traits: Of each.
    """

    reading: Reading
    phrasing: Phrasing
    rows: Floats
    places: NDArray[np.int64]
    traits: tuple[Traits, ...]


@dataclass(frozen=True, eq=False)
class Surprise:
    """The test of a request.

    Attributes:
        p_value: That a pool of ordinary subjects has a mean evidence at least as large, in (0, 1].
        compared: The questions or texts that are compared.
    """

    p_value: float
    compared: Worded


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
    share of ordinary rows whose likelihood ratio is at least as large (0.02 less is a tie), each scored
    without its own subject's counts. The statistic is the mean over rows of log(1 − ε + ε a p^(a−1)), the log
    likelihood ratio of "a share ε of the rows is reworded", with ε = 0.2, a = 0.3.

    Error control: one test for the request. Its p-value is that of a two-sample bootstrap over whole subjects
    (4,999 draws, fixed seed): a pool of as many rows against a redrawn background; far out it is read from
    their tail (`tail_share`). Rows are then named by Benjamini-Hochberg on p_i at 0.2, so that about a fifth
    of them may be named by chance.
    Plain texts are compared whole, the p-value ten times as large; their sentences are named.
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
        for finding in _findings(request, test, evidence, factor)
    ]


def surprised(request: Request, evidence: Evidence) -> tuple[Surprise, ...]:
    """Return the tests of questions and of texts before any threshold; none without a background."""
    return evidence.remembered(_tested, request.rows)


def _findings(request: Request, test: Surprise, evidence: Evidence, factor: float) -> list[Finding]:
    rows, units, form = test.compared.rows, test.compared.reading.units, test.compared.reading.form
    of_rare = [unit.row for unit, p in zip(units, rows, strict=True) if p <= _RARE]
    rare = len(of_rare)
    share = (rare + 0.5) / (len(rows) + 1)
    effect = float(np.log(share / (1 - share)) - np.log(_RARE / (1 - _RARE)))
    if rare < _LEAST_ROWS or not in_enough_rows(of_rare, units) or effect < np.log(factor):
        return []
    whole = f"{rare} of {len(rows)} {form} are worded in ways that 1 in 20 ordinary {form} are."
    for worded in _nameable(request, test, evidence):
        found = np.flatnonzero(benjamini_hochberg(worded.rows) <= _FALSE_ROWS).tolist()
        if found:
            return [_finding(request, worded, i, test.p_value, effect, whole) for i in found]
    return [Finding("surprise", "", None, "alarm", effect, test.p_value, whole)]


def _nameable(request: Request, test: Surprise, evidence: Evidence) -> Iterator[Worded]:
    """Give what can be named once the test has failed, finest first: of texts their sentences, then they."""
    of_texts = test.compared.reading.form == "texts"
    sentences = _worded(request.rows, "sentences", evidence) if of_texts else None
    if sentences is not None:
        yield sentences
    yield test.compared


def _tested(asked: tuple[Row, ...], evidence: Evidence) -> tuple[Surprise, ...]:
    # By sentences one writer's style stands out more than most attacks do: texts are compared whole.
    compared = (_worded(asked, form, evidence) for form in _STRICT)
    return tuple(_test(worded, evidence) for worded in compared if worded is not None)


def _worded(asked: tuple[Row, ...], form: UnitKind, evidence: Evidence) -> Worded | None:
    """Return how reworded what there is of a form looks; None where request or background has none of it."""
    reading = read_as(asked, form)
    phrasing = evidence.learned(learn_phrasing, form) if reading.units else None
    if phrasing is None:
        return None
    traits = tuple(unit_traits(unit.text, phrasing) for unit in reading.units)
    rows, places = row_p_values(traits, phrasing)
    return Worded(reading, phrasing, rows, places, traits)


def _test(compared: Worded, evidence: Evidence) -> Surprise:
    usual = float(_evidence(np.concatenate(compared.phrasing.groups)).mean())
    beyond = float(_evidence(np.sort(compared.rows)).mean()) - usual  # whatever the rows' order
    null = evidence.remembered(_null, (compared.phrasing, len(compared.rows)))
    p = _STRICT[compared.reading.form] * tail_share(null, beyond)
    return Surprise(min(1.0, p), compared)


def tail_share(null: Floats, value: float) -> float:
    """Return the share of ascending draws at or above a value, (1 + k) / (1 + n).

    Beyond the 20th largest draw x the share is that of an exponential tail, ``p(x) exp(-(value - x) / m)``, m
    the mean excess of the highest tenth over where it begins: how far beyond all draws a value lies counts
    then. Means of whole subjects have lighter tails, so that it is on the safe side.

    Source: exponential excess over a threshold is the generalized Pareto distribution with shape 0 (Pickands,
        Annals of Statistics 3 (1975), 119-131).
    """
    above = len(null) - int(np.searchsorted(null, value - 1e-12, side="left"))
    highest = null[-int(_TAIL * len(null)) :]
    excess = float((highest - highest[0]).mean())
    if above >= _COUNTED or len(highest) <= _COUNTED or excess < _ALIKE:
        return (1 + above) / (1 + len(null))
    beyond = value - float(null[-_COUNTED])
    return max(_LEAST_P, (1 + _COUNTED) / (1 + len(null)) * float(np.exp(-beyond / excess)))


def _evidence(p: Floats) -> Floats:
    ratio: Floats = np.log(1 - _SHARE + _SHARE * _POWER * p ** (_POWER - 1))
    return ratio


def _null(pool: tuple[Phrasing, int], _: Evidence) -> Floats:
    """Return bootstrap draws of (mean of n rows of subjects pooled) − (mean of the background), ascending."""
    phrasing, n = pool
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


def _finding(request: Request, worded: Worded, i: int, p: float, effect: float, whole: str) -> Finding:
    place, unit = int(worded.places[i]), worded.reading.units[i]
    row_id = request.rows[unit.row].id
    start, end = worded.traits[i].spans[place]
    if start >= end:
        return Finding("surprise", row_id, None, "alarm", effect, p, whole)
    piece = unit.text[start:end]
    where = (f"opens with “{piece} …”", f"closes with “… {piece}”", f"goes on with “… {piece} …”")[place]
    message = f"It {where}: only {worded.rows[i]:.1%} of ordinary ones are as unusual. {whole}"
    span = unit.start + start, unit.start + end
    return Finding("surprise", row_id, span, "alarm", effect, p, message)
