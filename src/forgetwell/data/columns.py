"""From records with whatever columns to rows: which column sets are understood, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
_HEAVIEST = 1e6  # sums and products of weights stay numbers
_FLAGS = {"true": True, "false": False}
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


def check_used(columns: Mapping[str, str], found: Mapping[str, Iterable[str]]) -> None:
    """Refuse columns that count nowhere: of several files some are understood without, but not all.

    Args:
        columns: Our names to the files'.
        found: The columns of each file that was read; names as ``tofu:…`` have columns of their own.

    Raises:
        InputError: No file has the columns.
    """
    wanted = set(columns.values())
    if not columns or any(wanted <= set(there) for there in found.values()):
        return
    named = ", ".join(repr(name) for name in columns.values())
    places = "; ".join(f"{name} has {_listed(there)}" for name, there in found.items())
    raise InputError(
        f"--columns names {named}, and no file that was given has all of them: "
        f"{places or 'only names were given, whose columns are known'}. Correct --columns or leave it out."
    )


def to_row(record: Any, default_id: str, where: str, columns: Mapping[str, str]) -> Row:  # noqa: ANN401
    """Return the row a JSON object or table line stands for; `where` is the file and line for messages.

    Raises:
        InputError: A column is missing, empty or of the wrong type; it is called by the file's own name.
    """
    if not isinstance(record, dict):
        _fail(where, f"expected an object with columns, got {type(record).__name__}")
    for theirs in columns.values():
        if theirs not in record:
            _fail(where, f"no column {theirs!r}, which --columns names; found {_listed(record)}")
    cells = _cells(record, columns)
    plain = cells.get("text")
    flag = _FLAGS.get(plain.value.lower()) if plain and isinstance(plain.value, str) else None
    if plain and flag is not None and {"prompt", "answer"} <= cells.keys():
        cells["text"] = _Cell(flag, plain.name)
    elif plain and isinstance(plain.value, str):
        cells |= {"answer": plain, "text": _Cell(True, plain.name)}
        cells.setdefault("prompt", _Cell("", plain.name))
    if "messages" in cells:
        cells |= _conversation(cells["messages"], where)
    for ours in ("answer", "prompt"):
        if ours not in cells:
            _fail(where, _missing(ours, record, columns))
    return _row(cells, default_id, where)


@dataclass(frozen=True, slots=True)
class _Cell:
    """What a column holds, and the file's name of that column."""

    value: Any
    name: str


_Cells = dict[str, _Cell]


def _understood(record: Mapping[str, Any]) -> bool:
    """Say whether a record has columns that are known by name."""
    cells = _cells(record, {})
    text = cells["text"].value if "text" in cells else None
    return "messages" in cells or isinstance(text, str) or {"prompt", "answer"} <= cells.keys()


def _names(ours: str, columns: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names under which a file may have one of our columns."""
    return (columns[ours],) if ours in columns else _ALIASES.get(ours, (ours,))


def _cells(record: Mapping[str, Any], columns: Mapping[str, str]) -> _Cells:
    cells: _Cells = {}
    for ours in NAMES:
        found = [n for n in _names(ours, columns) if record.get(n) is not None]
        if found:
            cells[ours] = _Cell(record[found[0]], found[0])
    return cells


def _missing(ours: str, record: Mapping[str, Any], columns: Mapping[str, str]) -> str:
    """Say why a row has no prompt or no answer."""
    null = [n for name in (ours, "messages", "text") for n in _names(name, columns) if n in record]
    if null:
        return f"column {null[0]!r} is null or empty; give a text, or leave the row out"
    return (
        f"no column for the {ours}; found {_listed(record)}. Understood: question/answer, "
        "prompt/completion, query/answer, messages, text; else say which they are, as "
        "--columns prompt=q,answer=a"
    )


def _row(cells: _Cells, default_id: str, where: str) -> Row:
    answer = _text(cells, "answer", where)
    if not answer.strip():
        _fail(where, f"column {cells['answer'].name!r} is empty; give the answer that is to be forgotten")
    plain = cells.get("text", _Cell(False, "text"))
    if not isinstance(plain.value, bool):
        _fail(where, f"column {plain.name!r} is {plain.value!r}; expected a text, true or false")
    return Row(
        id=_id(cells.get("id", _Cell(default_id, "id")), where),
        prompt=_text(cells, "prompt", where),
        answer=answer,
        subject=_text(cells, "subject", where),
        questions=_texts(cells, "questions", where),
        paraphrases=_texts(cells, "paraphrases", where),
        wrong=_texts(cells, "wrong", where),
        history=_turns(cells.get("history", _Cell((), "history")), where),
        text=plain.value,
        weight=_weight(cells.get("weight", _Cell(1.0, "weight")), where),
        focus=_focus(cells, answer, where),
        edit=_edit(cells.get("edit"), where),
    )


def _id(cell: _Cell, where: str) -> str:
    numbered = isinstance(cell.value, int) and not isinstance(cell.value, bool)
    return str(cell.value) if numbered else _string(cell.value, where, cell.name)


def _weight(cell: _Cell, where: str) -> float:
    number = _number(cell.value) if isinstance(cell.value, str) else cell.value  # CSV has texts alone
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= _HEAVIEST:
        _fail(where, f"column {cell.name!r} is {number!r:.40}; expected a number from 0 to {_HEAVIEST:g}")
    return float(number)


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _focus(cells: _Cells, answer: str, where: str) -> tuple[str, ...]:
    focus = _texts(cells, "focus", where)
    for part in focus:
        if not part.strip() or part not in answer:
            name = cells["focus"].name
            _fail(where, f"column {name!r}: {part!r} is not a part of the answer; copy it from there")
    return focus


def _conversation(cell: _Cell, where: str) -> _Cells:
    turns = _turns(cell, where)
    if len(turns) < 2 or turns[-1].role != "assistant" or turns[-2].role != "user":
        _fail(where, f"column {cell.name!r} must end with a user turn and the assistant's answer")
    parts = {"prompt": turns[-2].content, "answer": turns[-1].content, "history": turns[:-2]}
    return {ours: _Cell(value, cell.name) for ours, value in parts.items()}


def _turns(cell: _Cell, where: str) -> tuple[Turn, ...]:
    value, column = cell.value, cell.name
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


def _edit(cell: _Cell | None, where: str) -> Edit | None:
    if cell is None:
        return None
    value = cell.value
    if not isinstance(value, dict) or set(value) != {"by", "template", "prompt", "answer"}:
        _fail(where, f"column {cell.name!r} must hold by, template, prompt and answer")
    return Edit(**{key: _string(part, where, f"{cell.name}.{key}") for key, part in value.items()})


def _text(cells: _Cells, ours: str, where: str) -> str:
    return _string(cells[ours].value, where, cells[ours].name) if ours in cells else ""


def _texts(cells: _Cells, ours: str, where: str) -> tuple[str, ...]:
    value, column = (cells[ours].value, cells[ours].name) if ours in cells else ((), ours)
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


def _listed(names: Iterable[object]) -> str:
    return ", ".join(repr(str(name)) for name in list(names)[:20]) or "none"


def _fail(where: str, why: str) -> NoReturn:
    raise InputError(f"{where}: {why}.")
