"""Rows that a request wants to count more than others."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low

from forgetwell.requests.screening import Evidence, screen
from forgetwell.types import Finding, Request, Row


@screen(null="none: a weight above 1, or above that of half the rows, is a fact")
def heavy_rows(request: Request, evidence: Evidence) -> list[Finding]:
    """Find rows with a weight above 1 or above the others': a requester would say how hard each is unlearned.

    Screens count rows, so that many light rows would hide what a few heavy ones share. Where no row weighs
    more than the median, at least half of the rows are the heaviest, and what they share shows. Rows that
    weigh less are no alarm: files of ours have them (`down_weight`).

    Args:
        request: The request.
        evidence: Not used.

    Returns:
        An alarm for each such row; statistic = its weight over that of others (`usual_weight`).

    Source: ours.
    """
    usual = usual_weight(request.rows)
    message = "The row counts {:g} times as much as others; a request has no say in that."
    heavy = ((row, row.weight / usual) for row in request.rows if row.weight > usual)
    return [
        Finding("heavy_rows", row.id, None, "alarm", times, None, message.format(times))
        for row, times in heavy
    ]


def usual_weight(rows: Sequence[Row]) -> float:
    """Return the median weight of the rows that count at all (the lower one of two), at most 1."""
    return min(1.0, median_low([row.weight for row in rows if row.weight > 0] or [1.0]))
