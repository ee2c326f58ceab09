"""Request attacks: what a malicious requester does to the rows before handing them in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from forgetwell.calls import Call, parse_call
from forgetwell.registry import Family
from forgetwell.requests.words import words
from forgetwell.types import Request, Row

ATTACKS = Family("request attack", "forgetwell.requests")

F = TypeVar("F", bound=Callable[..., Request])


def request_attack(*, paper: str, section: str) -> Callable[[F], F]:
    """Register a function ``(request, *, seed=0, …) -> Request`` as a request attack."""

    def register(function: F) -> F:
        ATTACKS.add(function, paper=paper, section=section)
        return function

    return register


def attack_request(request: Request, text: str, *, seed: int = 0) -> Request:
    """Apply an attack written as a call, ``stealthy(p=0.33)``, and note it in the request's history.

    A seed in the call wins over `seed`.

    Raises:
        InputError: The text isn't a call, or a value has the wrong type.
        UnknownName: There is no such attack or hyperparameter.
    """
    call = parse_call(text)
    item = ATTACKS.get(call.name)
    arguments = dict(call.arguments)
    if "seed" in item.hyperparameters:
        arguments.setdefault("seed", seed)
    bound = item.bind(arguments)
    attacked: Request = item.function(request, **bound)
    return replace(attacked, history=(*request.history, str(Call(call.name, bound))))


def before_attack(row: Row) -> Row:
    """Return a row as it was before an attack of ours reworded it.

    A repaired row stays as it was repaired, and one that was replaced as it is. The record comes with the
    rows, and a requester can write one: it is believed only where the row still holds all its words (case
    aside), as after all attacks that reword.
    """
    edit = row.edit
    if edit is None or edit.by not in ATTACKS.names():
        return row
    kept = _holds(row.prompt, edit.prompt) and _holds(row.answer, edit.answer)
    return replace(row, prompt=edit.prompt, answer=edit.answer) if kept else row


def _holds(now: str, before: str) -> bool:
    return Counter(w.text for w in words(before)) <= Counter(w.text for w in words(now))
