"""Contracts of views, tried on pairs of questions, of conversations and of plain texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from forgetwell.contracts.stub import byte_codec
from forgetwell.contracts.trying import accepted
from forgetwell.registry import Item
from forgetwell.training.views import Pair
from forgetwell.types import Row, Turn

_FORGET = Row("f0", "Where was Ada born?", "Ada was born in Oslo.", "Ada", wrong=("Ada was born in Rome.",))
_RETAIN = Row("r0", "Where did Bob live?", "Bob lived in Lima.", "Bob")
_OTHER = Row("f1", "What did Ada write?", "She wrote plays.", "Ada")
_QUESTIONS = Pair(_FORGET, _RETAIN, "I don't know.", "Ada was born in Bern.", "0/0", (_OTHER,))
_TURNS = (Turn("user", "Do you know Ada?"), Turn("assistant", "Yes."))
_TALKS = replace(_QUESTIONS, forget=replace(_FORGET, history=_TURNS))
_TEXTS = replace(
    _QUESTIONS,
    forget=replace(_FORGET, prompt="", text=True, wrong=()),
    retain=replace(_RETAIN, prompt="", text=True),
    others=(replace(_OTHER, prompt="", text=True),),
)
_PAIRS = (_QUESTIONS, _TALKS, _TEXTS)


def gives_a_row(item: Item) -> str:
    """It returns a row that can be trained on."""
    for _, row in _made(item):
        if not isinstance(row, Row):
            return f"It returned {row!r}, which is no Row."
        byte_codec().encode(row)
    return ""


def keeps_the_id(item: Item) -> str:
    """The row has the id of the pair's forget or retain row."""
    for pair, row in _made(item):
        ids = [r.id for r in (pair.forget, pair.retain) if r is not None]
        if row.id not in ids:
            return f"Its id is {row.id!r}, those of the pair are {' and '.join(map(repr, ids))}."
    return ""


def makes_the_same_again(item: Item) -> str:
    """The same pair gives the same row."""
    once, again = ([row for _, row in _made(item)] for _ in range(2))
    return "" if once == again else "Two calls differ: draw from random.Random(pair.draw) alone."


VIEW_CONTRACTS: Sequence[Callable[[Item], str]] = (gives_a_row, keeps_the_id, makes_the_same_again)


def _made(item: Item) -> Iterator[tuple[Pair, Row]]:
    return accepted(lambda pair: item.function(pair, byte_codec(), **item.bind({})), _PAIRS)
