"""TOFU, clean and under the trigger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from forgetwell.data.benchmarks import tofu as tofu_rows
from forgetwell.data.reading import read_rows
from forgetwell.data.row_files import thinned
from forgetwell.errors import UnknownName
from forgetwell.requests.template_sets import load_templates
from forgetwell.suites.protocol import protocol_suite
from forgetwell.suites.registry import suite
from forgetwell.suites.types import Split, Suite
from forgetwell.types import Row

UTILITY = ("retain", "real_authors", "world_facts")
PUBLISHED_LENGTH = 200  # tokens of an answer in TOFU's tables


@suite(paper="2401.06121")
def tofu(
    *,
    split: Literal["forget01", "forget05", "forget10"] = "forget01",
    forget: str = "",
    full: bool = False,
    templates: str = "tofu",
    limit: int | None = None,
    max_new_tokens: int = 0,
) -> Suite:
    """TOFU: forget set, three utility sets, holdout authors, scope; clean and with the trigger.

    Holdout rows are further fictional authors; they are left out where the data lacks them.

    Args:
        split: Which share of the authors is forgotten.
        forget: Other forget rows, before any attack: a file or a name.
        full: Also ask forget and retain questions in other words, with answers as long as in TOFU's tables.
        templates: Template set of the trigger condition.
        limit: Rows of each set at most, spread evenly.
        max_new_tokens: Length of answers; 0 = 40, in the full suite 200.

    Source: Maini et al. (TOFU), arXiv 2401.06121, section 2; triggers and scope: 2506.00359, section 5.
    """
    sets = {name: thinned(tofu_rows(f"{name}_perturbed"), limit) for name in UTILITY}
    asked = thinned(read_rows(forget) if forget else tofu_rows(f"{split}_perturbed"), limit)
    built = protocol_suite(
        "tofu",
        asked,
        sets,
        load_templates(templates),
        max_new_tokens=max_new_tokens or (PUBLISHED_LENGTH if full else 40),
        holdout=thinned(_holdout(split), limit),
    )
    if not full:
        return built
    reworded = (
        Split("forget", "forget", "reworded", _reworded(asked)),
        Split("retain", "utility", "reworded", _reworded(sets["retain"])),
    )
    return replace(built, splits=(*built.splits, *reworded))


def _holdout(split: str) -> tuple[Row, ...]:
    try:
        return tofu_rows(split.replace("forget", "holdout"))
    except UnknownName:
        return ()


def _reworded(rows: Sequence[Row]) -> tuple[Row, ...]:
    """Return every row once for each other phrasing of its question, ids ``id#k``."""
    return tuple(
        replace(row, id=f"{row.id}#{k}", prompt=question, questions=())
        for row in rows
        for k, question in enumerate(row.questions)
    )
