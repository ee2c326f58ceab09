"""The family of unlearning methods that are more than an objective."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from forgetwell.calls import parse_call
from forgetwell.methods.finetune import Outcome
from forgetwell.models.lm import HFModel
from forgetwell.registry import Family
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks
from forgetwell.types import Request, Row

METHODS = Family("method", "forgetwell.methods")

Method = TypeVar("Method", bound=Callable[..., Outcome])


@dataclass(frozen=True)
class Training:
    """What every long job needs and no method calls its own: how to train, and whom to tell."""

    config: TrainConfig
    hooks: Hooks


def method(*, paper: str, section: str) -> Callable[[Method], Method]:
    """Register ``(lm, request, retain, training, *, …) -> Outcome`` as a method."""

    def register(function: Method) -> Method:
        METHODS.add(function, paper=paper, section=section)
        return function

    return register


def apply_method(
    lm: HFModel, request: Request, retain: Sequence[Row], training: Training, text: str
) -> Outcome:
    """Unlearn by a method written as a call, ``task_vector(alpha=5)``; `lm` is changed in place.

    Raises:
        InputError: The text isn't a call, or a value has the wrong type.
        UnknownName: There is no such method or hyperparameter.
    """
    item, hyperparameters = METHODS.resolve(parse_call(text))
    outcome: Outcome = item.function(lm, request, retain, training, **hyperparameters)
    return outcome
