"""Repairs: what a provider can do to a request so that unlearning it does less harm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from forgetwell.calls import Call, parse_call
from forgetwell.registry import Family
from forgetwell.types import Finding, Request, Row

REPAIRS = Family("repair", "forgetwell.requests")


@dataclass(frozen=True)
class Repaired:
    """A repaired request with the rows to keep, which a repair may have extended."""

    request: Request
    retain: tuple[Row, ...]


F = TypeVar("F", bound=Callable[..., Repaired])


def repair(function: F) -> F:
    """Register a function ``(request, retain, findings, *, …) -> Repaired`` as a repair."""
    REPAIRS.add(function)
    return function


def repair_request(
    request: Request, retain: Sequence[Row], findings: Sequence[Finding], text: str
) -> Repaired:
    """Apply a repair written as a call, ``down_weight(factor=0.1)``, and note it in the request's history.

    Only alarms count, but for those of the whole request (row_id "").

    Raises:
        InputError: The text isn't a call, or a value has the wrong type.
        UnknownName: There is no such repair or hyperparameter.
    """
    item, bound = REPAIRS.resolve(parse_call(text))
    alarms = tuple(f for f in findings if f.severity == "alarm" and f.row_id)
    done: Repaired = item.function(request, tuple(retain), alarms, **bound)
    history = (*request.history, str(Call(item.name, bound)))
    return Repaired(replace(done.request, history=history), done.retain)
