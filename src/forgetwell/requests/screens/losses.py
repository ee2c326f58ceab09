"""Screens that ask the model: rows it doesn't know, and the paper's high-loss baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from forgetwell.errors import InputError
from forgetwell.metrics.comparison import benjamini_hochberg
from forgetwell.requests.enrichment import beta_binomial_tail
from forgetwell.requests.screening import Evidence, screen
from forgetwell.types import Finding, Request, Row

if TYPE_CHECKING:
    from forgetwell.models.lm import LM

_SAMPLE = 256
_ONE_IN = 20  # rows less probable than one background row in so many are low


@screen(
    null="log-probabilities of the request's answers and of known ones are independent draws of one law",
    needs_lm=True,
)
def unknown(request: Request, evidence: Evidence, *, alpha: float = 0.01) -> list[Finding]:
    """Find rows that the model doesn't know: there is nothing to forget.

    Statistic of a row: mean log-probability of its answer's tokens. p = (1 + #known rows at most as likely) /
    (1 + #known rows), exact if the row is exchangeable with these; Benjamini-Hochberg over rows, which holds
    though all are compared with the same. Many rows a little below are one finding for the
    whole request, by the number L of rows with p ≤ 1/20; these are then named, since an adjusted p-value of a
    row can't be small where few are known. Of m known rows these are the rows below the k-th
    smallest, k = ⌊(m + 1)/20⌋. The share of the law below it, the k-th of m uniform order statistics, is
    Beta(k, m + 1 − k); given that share, L is binomial. So under the null L is beta-binomial with parameters
    n, k, m + 1 − k: mean share k/(m + 1), correlation 1/(m + 2). Of fewer than 19 known rows k = 0, and
    nothing is found.

    The known rows are `Evidence.retain`, rows to keep, as far as there are any; else the background's, which
    then must hold answers that the model knows: beside answers that it doesn't know, unknown ones are nothing
    unusual. 256 of them, evenly spaced, are scored. Rows about one subject, known or unknown together, aren't
    independent: less is sure then.

    Args:
        request: The request.
        evidence: Rows to keep, or else the background, and the model are used.
        alpha: Largest adjusted p-value.

    Returns:
        An alarm (row_id "") for the whole and for each of its rows with p ≤ 1/20, a warning for any other row
        found; statistic = share of rows with p ≤ 1/20, or mean log-probability of the row. A named row's
        p-value is the whole's.

    Raises:
        InputError: There is no model.

    Source: ours; the attack is "Unlearn and Burn", arXiv 2410.09591 (abstract). Ranks in one sample and their
        Benjamini-Hochberg: Bates and others, Annals of Statistics 51 (2023), 149-178; order statistics: David
        and Nagaraja, Order Statistics, 3rd edition, chapter 2.
    """
    lm = _model(evidence)
    usual = np.sort(_mean_logps(lm, _spaced(evidence.known)))
    own = _mean_logps(lm, request.rows)
    below = np.searchsorted(usual, own, side="right")
    q = benjamini_hochberg((1 + below) / (1 + len(usual)))
    low, whole = _count_low(below, len(usual))
    if whole > alpha:
        low[:] = False
    found = [_row_finding(request.rows[i], own[i], usual, q[i]) for i in np.flatnonzero((q <= alpha) & ~low)]
    if not low.any():
        return found
    count = f"{low.sum()} of {len(own)} answers"
    message = f"The model gives {count} less probability than 95 % of known ones."
    named = f"{message} This row is one of them; of an honest request's rows 5 % would be."
    return [
        Finding("unknown", "", None, "alarm", float(low.mean()), whole, message),
        *(
            Finding("unknown", request.rows[i].id, None, "alarm", float(own[i]), whole, named)
            for i in np.flatnonzero(low)
        ),
        *found,
    ]


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
            f"Loss {losses[i]:.2f}: among the {share:.0%} of rows with the highest.",
        )
        for i in sorted(worst)
    ]  # fmt: skip


def _model(evidence: Evidence) -> LM:
    if evidence.lm is None:
        raise InputError("This screen asks the model; give one (--model), or leave the screen out.")
    return evidence.lm


def _mean_logps(lm: LM, rows: Sequence[Row]) -> NDArray[np.float64]:
    return np.array([float(np.mean(score.logps)) for score in lm.score(rows)])


def _count_low(below: NDArray[np.int64], usual: int) -> tuple[NDArray[np.bool_], float]:
    """Return which rows lie below the k-th smallest of the known ones, and P(as many or more)."""
    k = (usual + 1) // _ONE_IN
    low = below < k
    if not low.any():
        return low, 1.0
    mean, correlation = np.array([k / (usual + 1)]), np.array([1 / (usual + 2)])
    return low, float(beta_binomial_tail(np.array([float(low.sum())]), len(below), mean, correlation)[0])


def _spaced(rows: Sequence[Row]) -> list[Row]:
    if len(rows) <= _SAMPLE:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (_SAMPLE - 1))] for i in range(_SAMPLE)]


def _row_finding(row: Row, value: float, usual: NDArray[np.float64], q: float) -> Finding:
    message = (
        f"The model doesn't know the answer: mean log-probability {value:.2f} a token; "
        f"of known rows, {np.mean(usual > value):.0%} are higher."
    )
    return Finding("unknown", row.id, None, "warning", float(value), float(q), message)
