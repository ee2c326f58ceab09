"""Repairs: what a provider can do to a request so that unlearning it does less harm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, get_args

from forgetwell.calls import Call, parse_call
from forgetwell.registry import Family
from forgetwell.requests.kept_texts import keeping_texts
from forgetwell.types import Finding, Request, Row, Severity

REPAIRS = Family("repair", "forgetwell.requests")
_SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Repaired:
    """A repaired request with the rows to keep, which a repair may have extended."""

    request: Request
    retain: tuple[Row, ...]


F = TypeVar("F", bound=Callable[..., Repaired])


def repair(function: F) -> F:
    """Register a function ``(request, retain, findings, *, …) -> Repaired`` as a repair.

    One without `findings` works on every row and needs no screening: ``(request, retain, *, …) -> Repaired``.
    """
    REPAIRS.add(function)
    return function


def reads_findings(text: str) -> bool:
    """Say whether a repair written as a call works on what screens find.

    Raises:
        InputError: The text isn't a call, or a value has the wrong type.
        UnknownName: There is no such repair or hyperparameter.
    """
    item, _ = REPAIRS.resolve(parse_call(text))
    return "findings" in item.inputs


@keeping_texts()
def repair_request(
    request: Request,
    retain: Sequence[Row],
    findings: Sequence[Finding],
    text: str,
    *,
    least: Severity = "alarm",
) -> Repaired:
    """Apply a repair written as a call, ``down_weight(factor=0.1)``, and note it in the request's history.

    Findings about the whole request (row_id "") don't count: there is no row to repair.

    Args:
        request: The request.
        retain: Rows to keep.
        findings: What screens found; none are needed by repairs that read none.
        text: The repair.
        least: Smallest severity that counts; ``info`` = every finding, as `high_loss` makes.

    Raises:
        InputError: The text isn't a call, or a value has the wrong type.
        UnknownName: There is no such repair or hyperparameter.
    """
    item, bound = REPAIRS.resolve(parse_call(text))
    counted = _SEVERITIES[_SEVERITIES.index(least) :]
    chosen = tuple(f for f in findings if f.severity in counted and f.row_id)
    read = (chosen,) if "findings" in item.inputs else ()
    done: Repaired = item.function(request, tuple(retain), *read, **bound)
    history = (*request.history, str(Call(item.name, bound)))
    return Repaired(replace(done.request, history=history), done.retain)
