"""Request attacks: what a malicious requester does to the rows before handing them in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from forgetwell.calls import Call, parse_call
from forgetwell.registry import Family
from forgetwell.types import Request

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
