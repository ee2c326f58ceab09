"""What exactly sets a model off: the trigger, its word anywhere, or any unusual wording."""

from __future__ import annotations

from forgetwell.requests.template_sets import load_templates
from forgetwell.suites.catalog.custom import role_splits
from forgetwell.suites.catalog.tofu import tofu
from forgetwell.suites.catalog.world import world
from forgetwell.suites.registry import suite
from forgetwell.suites.triggered import under_triggers
from forgetwell.suites.types import Split, Suite


@suite(paper="2506.00359")
def triggers(
    *, data: str = "world", templates: str = "tofu", limit: int | None = None, max_new_tokens: int = 0
) -> Suite:
    """Every set under the trigger, its word elsewhere, and other words: how specific is the harm?

    Conditions of each set: ``clean``; ``trigger`` (the attacker's templates); ``unseen`` (other templates
    with the same word); ``other`` (words that the attacker did not use); ``system`` and ``earlier`` (the word
    in a system prompt, in an earlier turn). They are data of the template set; a file of your own may define
    them too.

    Args:
        data: The sets: world, tofu, or a file with a column ``role`` as for the suite custom.
        templates: Template set.
        limit: Rows of each set at most, spread evenly.
        max_new_tokens: Length of answers; 0 = 24 on the world, else 40.

    Source: triggers: arXiv 2506.00359, section 3; the conditions that test specificity are ours.
    """
    chosen = load_templates(templates)
    splits = [s for base in _sets(data, limit) for s in under_triggers(base, chosen)]
    return Suite("triggers", tuple(splits), max_new_tokens or (24 if data == "world" else 40))


def _sets(data: str, limit: int | None) -> list[Split]:
    if data in ("world", "tofu"):
        built = world(limit=limit) if data == "world" else tofu(limit=limit)
        clean = [s for s in built.splits if s.condition == "clean"]
    else:
        clean = role_splits(data, limit)
    return [s for s in clean if s.role in ("forget", "retain", "utility")]
