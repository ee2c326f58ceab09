"""Stop rules such as ``forget.rouge_l_recall<=0.3`` on the values of a probe, and when it measures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forgetwell.errors import InputError

_RULE = re.compile(r"^\s*([\w.]+)\s*(<=|>=)\s*([0-9]*\.?[0-9]+)\s*$")


@dataclass(frozen=True)
class StopRule:
    """Stop when a probe's value is at or beyond a level."""

    key: str
    below: bool
    level: float

    def reached(self, probe: Mapping[str, float]) -> bool:
        """Say whether to stop.

        Raises:
            InputError: The probe has no such value.
        """
        if self.key not in probe:
            raise InputError(f"The probe has no {self.key!r}; it has {', '.join(sorted(probe))}.")
        return self.distance(probe) <= 0

    def distance(self, probe: Mapping[str, float]) -> float:
        """Return how far the value is from the level; 0 or less = reached."""
        return (probe[self.key] - self.level) * (1 if self.below else -1)

    def __str__(self) -> str:
        """Return the rule as it is written."""
        return f"{self.key}{'<=' if self.below else '>='}{self.level:g}"


def parse_stop_rule(text: str) -> StopRule:
    """Read ``key<=number`` or ``key>=number``.

    Raises:
        InputError: The text is anything else.
    """
    found = _RULE.match(text)
    if not found:
        raise InputError(f"Can't read the stop rule {text!r}; write forget.rouge_l_recall<=0.3.")
    return StopRule(found[1], found[2] == "<=", float(found[3]))


def check_probed(rule: str, *, probed: bool) -> None:
    """Refuse a rule on a probe that is never asked.

    Raises:
        InputError: There is a rule, and no probe.
    """
    if rule and not probed:
        raise InputError(
            f"The rule {rule!r} needs a probe; give rows to keep that it can ask (probe) and every how many "
            "steps it asks (probe_every)."
        )


@dataclass
class Probing:
    """When the model is measured: regularly, and at closer steps where a stop rule is about to be reached.

    Forgetting is steep: between probes 5 steps apart recall may fall from .5 to .1, and runs that stop at the
    first probe beyond .3 have then forgotten unequally much. So where the pace of the last two probes leads
    to the level before the next regular one, the model is measured at the step that it leads to.

    Attributes:
        every: Steps between regular probes; 0 = none but at the start and the end.
        rule: When to stop, or None.
        next: Step of the next probe.
        last: Step of the last probe, and how far its value was from the level.
        values: What the last probe measured.
    """

    every: int
    rule: StopRule | None = None
    next: int = 0
    last: tuple[int, float] | None = None
    values: Mapping[str, float] = field(default_factory=dict)

    def due(self, step: int, steps: int) -> bool:
        """Say whether to measure after a step."""
        return step == steps or (step == self.next and self.every > 0)

    def measured(self, step: int, probe: Mapping[str, float]) -> bool:
        """Take a probe's values; say whether to stop.

        Raises:
            InputError: The probe has no value that the rule names.
        """
        self.values = dict(probe)
        if self.every > 0:
            self.next = (step // self.every + 1) * self.every
        if self.rule is None:
            return False
        reached, distance = self.rule.reached(probe), self.rule.distance(probe)
        if self.last is not None and self.last[1] > distance > 0:
            pace = (self.last[1] - distance) / (step - self.last[0])
            self.next = min(self.next, step + max(1, int(distance / pace)))
        self.last = step, distance
        return reached

    def ended(self, step: int) -> bool:
        """Say whether the rule was reached at this step, but for the start: there a run goes on."""
        return step > 0 and self.last is not None and self.last[0] == step and self.last[1] <= 0

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"next": self.next, "last": self.last, "values": dict(self.values)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.next, self.last, self.values = state["next"], state["last"], dict(state["values"])
