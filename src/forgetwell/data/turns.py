"""What stands before a question: the earlier turns of its conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forgetwell.types import Row, Span, Turn


def with_system(rows: Sequence[Row], prompts: str | Sequence[str]) -> tuple[Row, ...]:
    """Return rows as they come to a service with these system prompts: each behind the next one in turn.

    One prompt, or several; "" stands for none. Plain texts, and rows with a system prompt of their own, stay
    as they are.
    """
    each = [prompts] if isinstance(prompts, str) else prompts or [""]
    return tuple(_behind(row, each[k % len(each)]) for k, row in enumerate(rows))


def takes_system(row: Row) -> bool:
    """Say whether a system prompt can be put before a row: a plain text has none, others at most one."""
    return not row.text and all(turn.role != "system" for turn in row.history)


def _behind(row: Row, prompt: str) -> Row:
    if not prompt or not takes_system(row):
        return row
    return replace(row, history=(Turn("system", prompt), *row.history))


def history_text(row: Row) -> str:
    """Return the earlier turns as one text, a line break between two; spans of findings point into it."""
    return "\n".join(turn.content for turn in row.history)


def turn_spans(row: Row) -> list[Span]:
    """Return where each earlier turn stands in `history_text`."""
    spans, at = [], 0
    for turn in row.history:
        spans.append((at, at + len(turn.content)))
        at += len(turn.content) + 1
    return spans


def without_turns(row: Row, spans: Sequence[Span]) -> Row:
    """Return the row without the turns in which a span of `history_text` lies; an empty turn is its own span.

    If one of them is no system prompt, the whole conversation before the question goes: half of one would be
    another conversation.
    """
    own = turn_spans(row)
    hit = [(start, end) in spans or any(a < end and b > start for a, b in spans) for start, end in own]
    talk = any(h and turn.role != "system" for h, turn in zip(hit, row.history, strict=True))
    kept = [t for h, t in zip(hit, row.history, strict=True) if not (h or (talk and t.role != "system"))]
    return replace(row, history=tuple(kept))


def joined_turns(first: Sequence[Turn], then: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return two conversations as one, under the first system prompt there is."""
    turns = (*first, *then)
    system = next(([t] for t in turns if t.role == "system"), [])
    return (*system, *(t for t in turns if t.role != "system"))
