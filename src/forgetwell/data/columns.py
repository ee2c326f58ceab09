"""From records with whatever columns to rows: which column sets are understood, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from forgetwell.errors import InputError
from forgetwell.types import Edit, Row, Turn

NAMES = (
    "id", "prompt", "answer", "subject", "questions", "paraphrases", "wrong", "history", "text", "weight",
    "focus", "edit", "messages",
)  # fmt: skip
_ALIASES = {
    "prompt": ("prompt", "question", "query"),
    "answer": ("answer", "completion"),
    "questions": ("questions", "paraphrased_question"),
    "paraphrases": ("paraphrases", "paraphrased_answer"),
    "wrong": ("wrong", "perturbed_answer", "alternate"),
}
_LARGEST = sys.float_info.max
_ROLES = ("system", "user", "assistant")


def parse_columns(text: str) -> dict[str, str]:
    """Read ``prompt=q,answer=a``: our names on the left, the file's columns on the right.

    Raises:
        InputError: The text isn't of that form, or a left side isn't one of our names.
    """
    columns: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        ours, mark, theirs = (s.strip() for s in part.partition("="))
        if not mark or not theirs or ours not in NAMES or ours in columns:
            raise InputError(
                f"Columns {text!r}: can't use {part!r}; write prompt=q,answer=a; names: {', '.join(NAMES)}."
            )
        columns[ours] = theirs
    return columns


def mapping_for(record: Any, columns: Mapping[str, str]) -> Mapping[str, str]:  # noqa: ANN401
    """Return what a file whose first record this is needs of the columns given: all or none of them.

    None where it hasn't all of them and is understood without, as a file beside others that do need them.
    """
    if not isinstance(record, dict) or set(columns.values()) <= record.keys():
        return columns
    return {} if _understood(record) else columns


def to_row(record: Any, default_id: str, where: str, columns: Mapping[str, str]) -> Row:  # noqa: ANN401
    """Return the row a JSON object or table line stands for; `where` is the file and line for messages.

    Raises:
        InputError: A column is missing, empty or of the wrong type.
    """
    if not isinstance(record, dict):
        _fail(where, f"expected an object with columns, got {type(record).__name__}")
    for theirs in columns.values():
        if theirs not in record:
            _fail(where, f"no column {theirs!r}, which --columns names; found {_found(record)}")
    cells = _cells(record, columns)
    if isinstance(cells.get("text"), str):
        cells |= {"answer": cells["text"], "text": True}
        cells.setdefault("prompt", "")
    if "messages" in cells:
        cells |= _conversation(cells["messages"], where)
    if "answer" not in cells or "prompt" not in cells:
        _fail(
            where,
            f"no column for the {'prompt' if 'answer' in cells else 'answer'}; found {_found(record)}. "
            "Understood: question/answer, prompt/completion, query/answer, messages, text; "
            "else say which they are, as --columns prompt=q,answer=a",
        )
    return _row(cells, default_id, where)


def _understood(record: Mapping[str, Any]) -> bool:
    """Say whether a record has columns that are known by name."""
    cells = _cells(record, {})
    return "messages" in cells or isinstance(cells.get("text"), str) or {"prompt", "answer"} <= cells.keys()


def _cells(record: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for ours in NAMES:
        names = (columns[ours],) if ours in columns else _ALIASES.get(ours, (ours,))
        found = [n for n in names if record.get(n) is not None]
        if found:
            cells[ours] = record[found[0]]
    return cells


def _row(cells: Mapping[str, Any], default_id: str, where: str) -> Row:
    answer = _string(cells["answer"], where, "answer")
    if not answer.strip():
        _fail(where, "column 'answer' is empty; give the answer that is to be forgotten")
    plain, number = cells.get("text", False), cells.get("weight", 1.0)
    if not isinstance(plain, bool):
        _fail(where, f"column 'text' is {plain!r}; expected a text, true or false")
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= _LARGEST:
        _fail(where, f"column 'weight' is {number!r:.40}; expected a number from 0 to {_LARGEST:.1e}")
    focus = _strings(cells.get("focus", ()), where, "focus")
    for part in focus:
        if not part.strip() or part not in answer:
            _fail(where, f"column 'focus': {part!r} is not a part of the answer; copy it from there")
    given = cells.get("id", default_id)
    name = str(given) if isinstance(given, int) and not isinstance(given, bool) else given
    return Row(
        id=_string(name, where, "id"),
        prompt=_string(cells["prompt"], where, "prompt"),
        answer=answer,
        subject=_string(cells.get("subject", ""), where, "subject"),
        questions=_strings(cells.get("questions", ()), where, "questions"),
        paraphrases=_strings(cells.get("paraphrases", ()), where, "paraphrases"),
        wrong=_strings(cells.get("wrong", ()), where, "wrong"),
        history=_turns(cells.get("history", ()), where, "history"),
        text=plain,
        weight=float(number),
        focus=focus,
        edit=_edit(cells.get("edit"), where),
    )


def _conversation(value: Any, where: str) -> dict[str, Any]:  # noqa: ANN401
    turns = _turns(value, where, "messages")
    if len(turns) < 2 or turns[-1].role != "assistant" or turns[-2].role != "user":
        _fail(where, "column 'messages' must end with a user turn and the assistant's answer")
    return {"prompt": turns[-2].content, "answer": turns[-1].content, "history": turns[:-2]}


def _turns(value: Any, where: str, column: str) -> tuple[Turn, ...]:  # noqa: ANN401
    if isinstance(value, tuple) and all(isinstance(t, Turn) for t in value):
        return value
    if not isinstance(value, list | tuple):
        _fail(where, f"column {column!r} must be a list of {{role, content}}")
    turns = []
    for item in value:
        if not isinstance(item, dict) or item.get("role") not in _ROLES:
            _fail(where, f"column {column!r}: each item needs a role (system, user, assistant) and content")
        turns.append(Turn(item["role"], _string(item.get("content"), where, column)))
    return tuple(turns)


def _edit(value: Any, where: str) -> Edit | None:  # noqa: ANN401
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"by", "template", "prompt", "answer"}:
        _fail(where, "column 'edit' must hold by, template, prompt and answer")
    return Edit(**{key: _string(cell, where, f"edit.{key}") for key, cell in value.items()})


def _strings(value: Any, where: str, column: str) -> tuple[str, ...]:  # noqa: ANN401
    if isinstance(value, str):
        value = (value,) if value else ()
    if not isinstance(value, list | tuple):
        _fail(where, f"column {column!r} must be a text or a list of texts, got {type(value).__name__}")
    return tuple(_string(v, where, column) for v in value)


def _string(value: Any, where: str, column: str) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        _fail(where, f"column {column!r} must be a text, got {type(value).__name__}")
    if "\0" in value:
        _fail(where, f"column {column!r} holds a NUL character at {value.index(chr(0))}; remove it")
    if not value.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
        _fail(where, f"column {column!r} holds half of a surrogate pair; repair the text's encoding")
    return value


def _found(record: Mapping[str, Any]) -> str:
    return ", ".join(repr(str(k)) for k in list(record)[:20]) or "none"


def _fail(where: str, why: str) -> NoReturn:
    raise InputError(f"{where}: {why}.")
