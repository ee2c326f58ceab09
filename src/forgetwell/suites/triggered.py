"""One set of rows under everything that may hold a trigger word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forgetwell.requests.template_sets import TemplateSet, rows_under
from forgetwell.suites.types import Condition, Split
from forgetwell.types import Row, Turn

_REPLY = "All right."


def under_triggers(split: Split, templates: TemplateSet) -> list[Split]:
    """Return a clean split and the same rows under a template set's triggers.

    Conditions: ``trigger`` (the attacker's templates), ``unseen`` (other templates with the same word),
    ``other`` (words that the attacker does not use), ``system`` (the word in a system prompt) and ``earlier``
    (in an earlier turn). One that the template set has no texts for is left out. Ids are ``id#k``. Of plain
    texts those with a prompt are asked in templates, none in a conversation.

    Source: triggers: 2506.00359, section 3; the other conditions are ours, to tell what the trigger is.
    """
    worded: dict[Condition, tuple[str, ...]] = {
        "trigger": templates.templates,
        "unseen": templates.unseen,
        "other": templates.other,
    }
    found: dict[Condition, tuple[Row, ...]] = {
        condition: rows_under(split.rows, texts, f"{condition}:{templates.name}")
        for condition, texts in worded.items()
    }
    asked = [row for row in split.rows if not row.text]
    found["system"] = _after(asked, [(Turn("system", text),) for text in templates.system])
    talks = [(Turn("user", text), Turn("assistant", _REPLY)) for text in templates.earlier]
    found["earlier"] = _after(asked, talks)
    return [split, *(replace(split, condition=c, rows=rows) for c, rows in found.items() if rows)]


def _after(rows: Sequence[Row], turns: Sequence[tuple[Turn, ...]]) -> tuple[Row, ...]:
    """Return every row after each of some beginnings of a conversation."""
    return tuple(
        replace(row, id=f"{row.id}#{k}", history=(*before, *row.history))
        for row in rows
        for k, before in enumerate(turns)
        if not (row.history and row.history[0].role == "system" and before[0].role == "system")
    )
