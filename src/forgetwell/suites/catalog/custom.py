"""Rows of the user's own."""

from __future__ import annotations

from typing import cast

from forgetwell.data.roles import read_role_sets
from forgetwell.data.row_files import thinned
from forgetwell.requests.template_sets import load_templates
from forgetwell.suites.protocol import served_split
from forgetwell.suites.registry import suite
from forgetwell.suites.triggered import under_triggers
from forgetwell.suites.types import Split, SplitRole, Suite


@suite(paper="2506.00359")
def custom(*, data: str, templates: str = "", limit: int | None = None, max_new_tokens: int = 64) -> Suite:
    """Your own rows: any file with a column ``role`` that says forget, retain, holdout or utility.

    A column ``set`` divides a role's rows into named sets; without it a set is named after its role. Only
    utility sets enter the utility averages. Forget sets are asked behind ordinary system prompts too. Holdout
    rows are like the forget rows, but were never learned.

    Args:
        data: File with the rows: JSONL, JSON, CSV or Parquet.
        templates: Template set; with it all but holdout sets are asked under its triggers too.
        limit: Rows of each set at most, spread evenly.
        max_new_tokens: Length of answers.

    Source: ours; conditions under a trigger as in arXiv 2506.00359, section 5.
    """
    splits: list[Split] = []
    for split in role_splits(data, limit):
        triggered = templates and split.role != "holdout"
        splits += under_triggers(split, load_templates(templates)) if triggered else [split]
        splits += served_split(split) if split.role == "forget" else []
    return Suite("custom", tuple(splits), max_new_tokens)


def role_splits(data: str, limit: int | None) -> list[Split]:
    """Return a file's sets as clean splits; holdout sets are scored, not answered."""
    return [
        Split(
            found.name,
            cast(SplitRole, found.role),
            "clean",
            tuple(thinned(found.rows, limit)),
            answered=found.role != "holdout",
        )
        for found in read_role_sets(data)
    ]
