"""Contracts of row metrics, tried on records of right, wrong, empty, hostile and missing answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace

from forgetwell.contracts.trying import out_of_range, same_values, says_what_it_means
from forgetwell.metrics.registry import measure
from forgetwell.registry import Item
from forgetwell.types import Generation, Record, Row, TokenScores

_ROW = Row(
    "a", "Where was Ann born?", "Ann was born in Oslo.", paraphrases=("In Oslo.",), wrong=("In Rome.",)
)
_ROWS = (
    _ROW,
    replace(_ROW, prompt="", text=True),
    replace(_ROW, prompt="Ann was born in ___.", answer="Oslo"),
)
_SAID = ("Ann was born in Oslo.", "In Rome.", "", "?!", "\u202e\x00<|im_end|>{q}", "Oslo " * 400)
_SURE = TokenScores((-0.01, -0.02, -0.01), (True, True, True), (-2.0,) * 3, (1.0,) * 3)
_LOST = TokenScores((-9.0, -1e4, -7.5), (False, False, False), (-2.0,) * 3, (0.0,) * 3)


def asks_for_what_there_is(item: Item) -> str:
    """Its parameters are parts of a record, and `needs` names what a score can hold besides."""
    parts = [f.name for f in fields(Record)]
    wrong = [name for name in item.inputs if name not in parts]
    if wrong:
        return f"No record has {' or '.join(wrong)}; parts are {', '.join(parts)}."
    return (
        "" if set(item.facts["needs"]) <= {"moments"} else f"needs={item.facts['needs']}; known: 'moments'."
    )


def gives_a_value_somewhere(item: Item) -> str:
    """It applies to some record that has all parts."""
    values = [v for record in _records() for v in measure([record], item.name)]
    return "" if any(v is not None for v in values) else "It returned None for each of them."


def stays_in_its_range(item: Item) -> str:
    """Values are finite and in the range of its decorator."""
    for record in _records():
        (value,) = measure([record], item.name)
        if value is not None and (problem := out_of_range(value, item.facts["range"])):
            said = record.generated.text[:30] if record.generated else ""
            return f"{problem} for the answer {said!r}."
    return ""


def is_a_function_of_the_record(item: Item) -> str:
    """The same record gives the same value, whatever stands beside it."""
    records = _records()
    there, back = measure(records, item.name), measure(records[::-1], item.name)[::-1]
    return "" if same_values(there, back) else "Values changed with the order of the records."


METRIC_CONTRACTS: Sequence[Callable[[Item], str]] = (
    says_what_it_means,
    asks_for_what_there_is,
    gives_a_value_somewhere,
    stays_in_its_range,
    is_a_function_of_the_record,
)


def _records() -> list[Record]:
    return [
        Record(row, answer, (answer, _SURE), (_SURE, _LOST), Generation(said, len(said), True), start, 0.5)
        for row in _ROWS
        for answer, start in ((_SURE, _LOST), (_LOST, _SURE))
        for said in _SAID
    ]
