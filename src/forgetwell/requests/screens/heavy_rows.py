"""Rows that a request wants to count more than others."""

from __future__ import annotations

from forgetwell.requests.screening import Evidence, screen
from forgetwell.types import Finding, Request


@screen(null="none: a weight above 1 is a fact")
def heavy_rows(request: Request, evidence: Evidence) -> list[Finding]:
    """Find rows with a weight above 1: a requester would say how hard each is unlearned.

    Files of ours carry weights up to 1 (`down_weight`).

    Args:
        request: The request.
        evidence: Not used.

    Returns:
        An alarm for each such row; statistic = its weight.

    Source: ours.
    """
    message = "The row counts {:g} times as much as others; a request has no say in that."
    heavy = (row for row in request.rows if row.weight > 1)
    return [
        Finding("heavy_rows", row.id, None, "alarm", row.weight, None, message.format(row.weight))
        for row in heavy
    ]
