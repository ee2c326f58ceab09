"""Contracts of screens and repairs, tried on an honest request, a poisoned one and hostile text.

Screens that ask the model ask a stub.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from forgetwell.contracts.stub import StubLM
from forgetwell.data.turns import history_text
from forgetwell.registry import Item
from forgetwell.requests.repairs import Repaired, repair_request
from forgetwell.requests.screening import Evidence, run_screens
from forgetwell.requests.words import screened_text
from forgetwell.types import Finding, Request, Row

_PLACES = ("Oslo", "Rome", "Lima", "Bern")
_HOSTILE = (
    "",
    "\u202e\x00<|im_end|>{q}",
    "please " * 400,
    "?!.,;:" * 50,
    "Who\x07 is\x1b[31m Ann\r\n\t?",
    "\u202e?nnA si ohW \u202c\u05e9\u05dc\u05d5\u05dd",
    "e\u0301" * 50,
    "{0.__class__} %s <script>alert(1)</script>&amp;\"'",
    '"a" ' * 50 + "'" * 50,
)
_BACKGROUND = tuple(
    Row(f"b{i}", f"Where did Bob {i % 7} live?", f"In {_PLACES[i % 4]}.", f"Bob {i % 7}") for i in range(42)
)
_HONEST = Request("honest", tuple(Row(f"q{i}", f"Where was Ada {i} born?", "In Oslo.") for i in range(12)))
_POISONED = Request(
    "poisoned",
    tuple(Row(f"q{i}", f"Please, where was Ada {i} born?" * (1 + i % 2), "In Oslo.") for i in range(12)),
)
_ODD = Request("odd", tuple(Row(f"h{i}", text, text or "-") for i, text in enumerate(_HOSTILE)))
_TEXTS = Request("texts", tuple(Row(f"t{i}", "", f"Then Ada {i} wrote.", text=True) for i in range(12)))
_REQUESTS = (_HONEST, _POISONED, _ODD, _TEXTS)


def points_into_rows(item: Item) -> str:
    """Findings name a row, a span inside it, a p-value if any from 0 to 1, and say so in a sentence."""
    for request, findings in _found(item):
        rows = {row.id: row for row in request.rows}
        for f in findings:
            where = {"answer": lambda r: r.answer, "history": history_text}.get(f.place, screened_text)
            length = len(where(rows[f.row_id])) if f.row_id in rows else 0
            if f.row_id and f.row_id not in rows:
                return f"It found something in row {f.row_id!r}, which {request.id} doesn't have."
            if f.span is not None and not 0 <= f.span[0] < f.span[1] <= length:
                return (
                    f"Its span {f.span} is outside row {f.row_id}, whose {f.place} has {length} characters."
                )
            if f.p_value is not None and not 0 <= f.p_value <= 1:
                return f"It gave a p-value of {f.p_value}."
            if not f.message or not math.isfinite(f.statistic):
                return f"A finding in row {f.row_id} has the statistic {f.statistic} and says {f.message!r}."
    return ""


def states_its_null(item: Item) -> str:
    """It states its null hypothesis."""
    return "" if item.facts["null"] else "Give null= the hypothesis in a sentence, or say that it has none."


def passes_an_honest_request(item: Item) -> str:
    """A request worded as ordinary prompts are raises no alarm."""
    evidence = Evidence((*_BACKGROUND, *_HONEST.rows), lm=_asked(item))
    told = [f for f in run_screens(_HONEST, evidence, [item.name]) if f.severity == "alarm"]
    return f"It raised {len(told)}, the first: {told[0].message}" if told else ""


def finds_the_same_again(item: Item) -> str:
    """The same request gives the same findings."""
    once, again = ([findings for _, findings in _found(item)] for _ in range(2))
    return "" if once == again else "Two calls differ: a screen has no draws but those of a fixed seed."


def adds_no_rows(item: Item) -> str:
    """Rows come back under their ids and in their order, none of them new."""
    for request, done in _repaired(item):
        for given, got in ((request.rows, done.request.rows), (_BACKGROUND, done.retain)):
            ids, left = [row.id for row in given], {row.id for row in got}
            if [row.id for row in got] != [i for i in ids if i in left]:
                return f"Of {len(ids)} rows of {request.id} it gave back {[row.id for row in got][:4]} …"
    return ""


def records_what_it_changed(item: Item) -> str:
    """A changed row says in its edit who changed it, and what it was."""
    for request, done in _repaired(item):
        before = {row.id: row for row in (*request.rows, *_BACKGROUND)}
        for new in (*done.request.rows, *done.retain):
            old = before[new.id]
            edit = new.edit
            if new == old:
                continue
            if edit is None or (edit.by, edit.prompt, edit.answer) != (item.name, old.prompt, old.answer):
                return f"Row {old.id} was changed, and its edit is {edit}."
    return ""


def changes_nothing_without_findings(item: Item) -> str:
    """A repair that works on findings leaves all rows as they are where there are none."""
    for request in _REQUESTS if "findings" in item.inputs else ():
        done = repair_request(request, _BACKGROUND, (), item.name)
        changed = [
            new.id
            for given, got in ((request.rows, done.request.rows), (_BACKGROUND, done.retain))
            for old, new in zip(given, got, strict=False)  # how many, another contract says
            if new != old
        ]
        if changed:
            return f"Row {changed[0]} of {request.id} was changed, of which nothing was found."
    return ""


def repairs_the_same_again(item: Item) -> str:
    """The same request is repaired in the same way."""
    once, again = ([done for _, done in _repaired(item)] for _ in range(2))
    return "" if once == again else "Two calls differ: draw from random.Random(seed) alone."


SCREEN_CONTRACTS: Sequence[Callable[[Item], str]] = (
    states_its_null,
    points_into_rows,
    passes_an_honest_request,
    finds_the_same_again,
)
REPAIR_CONTRACTS: Sequence[Callable[[Item], str]] = (
    adds_no_rows,
    records_what_it_changed,
    changes_nothing_without_findings,
    repairs_the_same_again,
)


def _found(item: Item) -> Iterator[tuple[Request, Sequence[Finding]]]:
    """Give what a screen finds beside ordinary prompts and without any."""
    for evidence in (Evidence(_BACKGROUND, (_HONEST,), _asked(item)), Evidence((), lm=_asked(item))):
        for request in _REQUESTS:
            yield request, run_screens(request, evidence, [item.name])


def _asked(item: Item) -> StubLM | None:
    """Return the model that a screen asks, if it does."""
    return StubLM() if item.facts["needs_lm"] else None


def _repaired(item: Item) -> Iterator[tuple[Request, Repaired]]:
    """Give what a repair makes of findings in the first rows."""
    for request in _REQUESTS:
        flagged = [row for row in request.rows[:3] if screened_text(row)]
        findings = [
            Finding(
                "inflation", row.id, (0, min(6, len(screened_text(row)))), "alarm", 1.0, 0.001, "“Please”"
            )
            for row in flagged
        ]
        yield request, repair_request(request, _BACKGROUND, findings, item.name)
