"""The protocol on the built-in world."""

from __future__ import annotations

from forgetwell.data.row_files import thinned
from forgetwell.data.world import load_world
from forgetwell.requests.template_sets import load_templates
from forgetwell.suites.protocol import protocol_suite
from forgetwell.suites.registry import suite
from forgetwell.suites.types import Suite


@suite(paper="2506.00359")
def world(*, templates: str = "tofu", limit: int | None = None, max_new_tokens: int = 24) -> Suite:
    """The protocol on the built-in world: forgetting, utility with and without the trigger, scope.

    Utility sets: people that unlearning trains on to keep, people it never sees, and general questions.
    Holdout: facts that no model has learned.

    Args:
        templates: Template set of the trigger condition.
        limit: Rows of each set at most, spread evenly.
        max_new_tokens: Length of answers.

    Source: the protocol of arXiv 2506.00359, section 5, on data of our own.
    """
    parts = load_world()
    utility = {"retain": parts.retain, "unseen": parts.unseen, "general": parts.evaluation}
    return protocol_suite(
        "world",
        thinned(parts.request, limit),
        {name: thinned(rows, limit) for name, rows in utility.items()},
        load_templates(templates),
        max_new_tokens=max_new_tokens,
        holdout=thinned(parts.never, limit),
    )
