"""Screens that ask the model: rows it doesn't know, and the paper's high-loss baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from forgetwell.errors import InputError
from forgetwell.metrics.comparison import benjamini_hochberg
from forgetwell.metrics.statistics import Floats
from forgetwell.requests.enrichment import beta_binomial_tail
from forgetwell.requests.reach import LEAST_KNOWN
from forgetwell.requests.screening import Evidence, screen
from forgetwell.types import Finding, Request, Row, Severity

if TYPE_CHECKING:
    from forgetwell.models.lm import LM

_SAMPLE = 256
_TAIL_ROWS, _ONE_IN = 10, 10  # the tail: so many known rows, or one in so many if that is more
_LOW = 20  # of the known rows one in so many is as low as what is counted
_ALIKE = 1e-9  # known rows that differ by rounding alone have no tail


@screen(
    null="log-probabilities of the request's answers and of known ones are draws of one law; the tail of its "
    "lowest is exponential",
    needs_lm=True,
)
def unknown(request: Request, evidence: Evidence, *, alpha: float = 0.01, least: int = 3) -> list[Finding]:
    """Find rows that the model doesn't know: there is nothing to forget.

    Statistic of a row: mean log-probability of its answer's tokens. p = (1 + #known rows at most as likely) /
    (1 + m) of m known rows; below all of them it is read from their tail (`low_tail`), as far below says more
    than below. Benjamini-Hochberg over rows: that any is found of a request of which the model knows all has
    probability `alpha` at most; that three are, which makes an alarm, hardly ever, also where the tail is
    not quite exponential.

    Many rows a little below are one warning for the whole request, by the number L of rows below the k-th
    smallest known one, k = ⌊(m + 1)/20⌋. The share of the law below that is Beta(k, m + 1 − k), so under the
    null L is beta-binomial: mean share k/(m + 1), correlation 1/(m + 2). It holds for independent rows; those
    about one subject aren't, which is why it is no alarm.

    The known rows are `Evidence.retain`, rows to keep, as far as there are any; else the background's, which
    then must hold answers that the model knows: beside answers that it doesn't know, unknown ones are nothing
    unusual. 256 of them, evenly spaced, are scored; of fewer than 20 nothing is found. They have to be asked
    as users ask: what a model has learned word by word is likelier than the same in other words.

    Args:
        request: The request.
        evidence: Rows to keep, or else the background, and the model are used.
        alpha: Largest adjusted p-value.
        least: So many rows, or all of a smaller request, are alarms; fewer, as a slip or a rare law's tail
            may bring about, are warnings. At least 1.

    Returns:
        A finding for each row that isn't known; statistic = mean log-probability in nats, p_value adjusted.
        A warning (row_id "") where many are low; statistic = their share.

    Raises:
        InputError: There is no model, or `least` is below 1.

    Source: ours; the attack is "Unlearn and Burn", arXiv 2410.09591 (abstract). Ranks in one sample and their
        Benjamini-Hochberg: Bates and others, Annals of Statistics 51 (2023), 149-178; order statistics: David
        and Nagaraja, Order Statistics, 3rd edition, chapter 2.
    """
    if least < 1:
        raise InputError(f"least={least} was given; it must be at least 1.")
    lm = _model(evidence)
    known = np.sort(_mean_logps(lm, _spaced(evidence.known)))
    if len(known) < LEAST_KNOWN:
        return []
    own = _mean_logps(lm, request.rows)
    q = benjamini_hochberg(low_tail(own, known))
    found = np.flatnonzero(q <= alpha)
    severity: Severity = "alarm" if len(found) >= min(least, len(own)) else "warning"
    rows = [
        Finding(
            "unknown", request.rows[i].id, None, severity, float(own[i]), float(q[i]),
            f"The model doesn't know the answer: {np.sum(known <= own[i])} of {len(known)} known answers are "
            "as improbable.",
        )
        for i in found
    ]  # fmt: skip
    return [*rows, *_many_low(own, known, alpha)]


def low_tail(values: Floats, known: Floats) -> Floats:
    """Return how probable a value as low as each is, (n,), by m known ones of the same law, in (0, 1].

    Among the known it is the rank p-value (1 + #known at most as large) / (1 + m). Below all of them it is
    that of an exponential tail where that is less: of the k = max(10, ⌊m/10⌋) lowest, whose mean distance
    from the next one above is ē, ``(k + 1) / (m + 1) · (1 + d / (k ē))^(−k)`` at a distance d. That is exact
    for such a tail: distances are independent of their edge, and d/ē of a further one has the law F(2, 2k).

    Args:
        values: Any (n,).
        known: Ascending (m,), at least 11.

    Source: Rényi's representation of exponential order statistics (David and Nagaraja, Order Statistics, 3rd
        edition, section 2.5); exceedances of a high threshold: Pickands, Annals of Statistics 3 (1975),
        119-131, shape 0.
    """
    m = len(known)
    k = max(_TAIL_ROWS, m // _ONE_IN)
    ranks: Floats = (1 + np.searchsorted(known, values, side="right")) / (1 + m)
    mean = float((known[k] - known[:k]).mean())
    if mean < _ALIKE:
        return ranks
    beyond = np.maximum(known[k] - values, 0.0)
    tail = (k + 1) / (m + 1) * np.exp(-k * np.log1p(beyond / (k * mean)))
    return np.where(values < known[0], np.minimum(ranks, tail), ranks)


@screen(null="none: a fixed share of the rows, whatever they are", needs_lm=True)
def high_loss(request: Request, evidence: Evidence, *, share: float = 0.33) -> list[Finding]:
    """Name the share of rows with the highest loss: the baseline that the paper shows not to help.

    Args:
        request: The request.
        evidence: The model is used.
        share: Share of rows, in [0, 1].

    Returns:
        An info for each of these rows; statistic = mean loss of its answer's tokens in nats.

    Raises:
        InputError: There is no model, or `share` is outside [0, 1].

    Source: 2506.00359, section 5 (defenses compared).
    """
    if not 0 <= share <= 1:
        raise InputError(f"share={share} was given; choose a number from 0 to 1.")
    losses = -_mean_logps(_model(evidence), request.rows)
    worst = np.argsort(-losses, kind="stable")[: round(share * len(losses))]
    return [
        Finding(
            "high_loss", request.rows[i].id, None, "info", float(losses[i]), None,
            f"Among the {share:.0%} of rows with the highest loss.",
        )
        for i in sorted(worst)
    ]  # fmt: skip


def _model(evidence: Evidence) -> LM:
    if evidence.lm is None:
        raise InputError("This screen asks the model; give one (--model), or leave the screen out.")
    return evidence.lm


def _mean_logps(lm: LM, rows: Sequence[Row]) -> Floats:
    return np.array([float(np.mean(score.logps)) for score in lm.score(rows)])


def _many_low(own: Floats, known: Floats, alpha: float) -> list[Finding]:
    """Return a warning where more rows lie below the k-th smallest known one than chance explains."""
    n, m = len(own), len(known)
    k = (m + 1) // _LOW
    low = int((own < known[k - 1]).sum())
    if not low:
        return []
    mean, correlation = np.array([k / (m + 1)]), np.array([1 / (m + 2)])
    p = float(beta_binomial_tail(np.array([float(low)]), n, mean, correlation)[0])
    message = f"The model gives {low} of {n} answers less probability than 95 % of known ones."
    return [Finding("unknown", "", None, "warning", low / n, p, message)] if p <= alpha else []


def _spaced(rows: Sequence[Row]) -> list[Row]:
    if len(rows) <= _SAMPLE:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (_SAMPLE - 1))] for i in range(_SAMPLE)]
