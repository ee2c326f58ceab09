"""The weights of the best probe: ``utility.rouge_l_recall if forget.rouge_l_recall<=0.3``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from forgetwell.errors import InputError
from forgetwell.training.stopping import StopRule, parse_stop_rule

_RULE = re.compile(r"^\s*([\w.]+)\s*(?:\bif\b(.+))?$")


@dataclass(frozen=True)
class BestRule:
    """Which probe is the best: that with the best value of `key`, among those that meet `condition`.

    Values of ``forget.`` are better low, all others high.
    """

    key: str
    condition: StopRule | None = None

    def value(self, probe: Mapping[str, float]) -> float | None:
        """Return what is compared, higher = better; None where the condition isn't met.

        Raises:
            InputError: The probe has no such value.
        """
        if self.key not in probe:
            raise InputError(f"The probe has no {self.key!r}; it has {', '.join(sorted(probe))}.")
        if self.condition is not None and not self.condition.reached(probe):
            return None
        return -probe[self.key] if self.key.startswith("forget.") else probe[self.key]

    def __str__(self) -> str:
        """Return the rule as it is written."""
        return self.key if self.condition is None else f"{self.key} if {self.condition}"


def parse_best_rule(text: str) -> BestRule:
    """Read ``key`` or ``key if key<=number``.

    Raises:
        InputError: The text is anything else.
    """
    found = _RULE.match(text)
    if not found:
        raise InputError(
            f"Can't read the rule {text!r}; write utility.rouge_l_recall, or with a condition "
            "utility.rouge_l_recall if forget.rouge_l_recall<=0.3."
        )
    return BestRule(found[1], parse_stop_rule(found[2]) if found[2] else None)


@dataclass
class Best:
    """The best probe so far, with a copy of the trained weights of its step.

    Attributes:
        rule: Which probe is better; a tie goes to the earlier one.
        step: Step of the best probe; 0 = none yet. The starting model is no candidate.
        value: Its value.
        weights: The parameters in training, on the CPU.
    """

    rule: BestRule
    step: int = 0
    value: float = float("-inf")
    weights: dict[str, Tensor] = field(default_factory=dict)

    def consider(self, step: int, probe: Mapping[str, float], module: nn.Module) -> None:
        """Keep the module's weights if this probe is the best so far."""
        value = self.rule.value(probe)
        if step == 0 or value is None or value <= self.value:
            return
        self.step, self.value = step, value
        trained = (item for item in module.named_parameters() if item[1].requires_grad)
        self.weights = {name: p.detach().to("cpu", copy=True) for name, p in trained}

    @torch.no_grad()
    def restore(self, module: nn.Module, last: int) -> int:
        """Give the module the weights of the best probe; return its step, or the last if there was none."""
        for name, parameter in module.named_parameters():
            if name in self.weights:
                parameter.copy_(self.weights[name])
        return self.step or last

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"step": self.step, "value": self.value, "weights": self.weights}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.step, self.value, self.weights = state["step"], state["value"], dict(state["weights"])
