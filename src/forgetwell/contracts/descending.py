"""Contracts of step rules, tried on two parameters with a quadratic loss on each side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from forgetwell.registry import Item
from forgetwell.training.rules import Descent

_START = (1.0, 2.0)
_FORGET_CENTER = (0.0, 0.0)  # gradient (2, 4)
_KEEP_CENTERS = {"sides that agree": (-1.0, 1.0), "sides that conflict": (3.0, 5.0)}  # (4, 2), (-4, -6)


@dataclass(frozen=True)
class _Step:
    """A step that a rule has taken.

    Attributes:
        told: Which terms there are.
        parameters: As the rule left them.
        values: Of the terms at the weights.
        gradient: Of all terms at the weights.
        returned: What the rule returned.
    """

    told: str
    parameters: Sequence[nn.Parameter]
    values: Mapping[str, float]
    gradient: Sequence[float]
    returned: object

    @property
    def left(self) -> list[float]:
        """The gradient that the rule left, 0 where it left none."""
        return [0.0 if p.grad is None else float(p.grad) for p in self.parameters]


def leaves_a_gradient(item: Item) -> str:
    """It leaves a finite gradient in .grad, which isn't 0, whichever terms there are."""
    for step in _steps(item):
        if not all(math.isfinite(g) for g in step.left):
            return f"With {step.told} it left {step.left}."
        if not any(step.left):
            return f"With {step.told} it left no gradient: call descent.everything(), .forget() or .keep()."
    return ""


def leads_downhill(item: Item) -> str:
    """Where the terms agree, a small step along it lowers the objective."""
    for step in _steps(item):
        slope = sum(a * b for a, b in zip(step.left, step.gradient, strict=True))
        if "conflict" not in step.told and not slope > 0:
            return f"With {step.told} the gradient is {list(step.gradient)}, and it left {step.left}."
    return ""


def leaves_the_weights(item: Item) -> str:
    """The parameters come back bit by bit as they were: the loop takes the step."""
    for step in _steps(item):
        found = tuple(p.item() for p in step.parameters)
        if found != _START:
            return f"With {step.told} they were {_START} and are {found}."
    return ""


def returns_the_values(item: Item) -> str:
    """It returns each term's value at the weights."""
    for step in _steps(item):
        found = step.returned
        if not isinstance(found, dict) or found.keys() != step.values.keys():
            return f"With {step.told} it returned {found!r}, not {dict(step.values)}."
        if not all(math.isclose(found[k], v, rel_tol=1e-5) for k, v in step.values.items()):
            return f"With {step.told} it returned {found}, not {dict(step.values)}."
    return ""


def steps_the_same_again(item: Item) -> str:
    """The same terms at the same weights give the same gradient."""
    once, again = ([step.left for step in _steps(item)] for _ in range(2))
    return "" if once == again else f"Two calls left {once} and {again}."


STEP_RULE_CONTRACTS: Sequence[Callable[[Item], str]] = (
    leaves_a_gradient,
    leads_downhill,
    leaves_the_weights,
    returns_the_values,
    steps_the_same_again,
)


def _steps(item: Item) -> Iterator[_Step]:
    """Give the steps of a rule with both sides, and with either alone."""
    for told, center in _KEEP_CENTERS.items():
        yield _step(item, told, {"forget": _FORGET_CENTER, "keep": center})
    yield _step(item, "forget terms alone", {"forget": _FORGET_CENTER})
    yield _step(item, "no forget term", {"keep": _KEEP_CENTERS["sides that agree"]})


def _step(item: Item, told: str, centers: Mapping[str, Sequence[float]]) -> _Step:
    parameters = [nn.Parameter(torch.tensor(v)) for v in _START]

    def adding(*sides: str) -> Callable[[], dict[str, float]]:
        def add() -> dict[str, float]:
            losses = {side: _loss(parameters, centers[side]) for side in sides}
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            return {side: loss.item() for side, loss in losses.items()}

        return add

    one = {side: adding(side) for side in centers}
    descent = Descent(parameters, one.get("forget"), one.get("keep"), adding(*centers))
    values = {side: _loss(parameters, center).item() for side, center in centers.items()}
    gradient = [2 * sum(at - center[i] for center in centers.values()) for i, at in enumerate(_START)]
    return _Step(told, parameters, values, gradient, item.function(descent, **item.bind({})))


def _loss(parameters: Sequence[nn.Parameter], center: Sequence[float]) -> Tensor:
    """Return the squared distance from a center."""
    return torch.stack([(p - c) ** 2 for p, c in zip(parameters, center, strict=True)]).sum()
