"""Stop rules such as ``forget.rouge_l_recall<=0.3`` on the values of a probe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

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
        value = probe[self.key]
        return value <= self.level if self.below else value >= self.level

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
