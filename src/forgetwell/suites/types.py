"""The shapes of a suite: named sets of rows under conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forgetwell.errors import InputError
from forgetwell.types import Row

SplitRole = Literal["forget", "utility", "scope"]
Condition = Literal["clean", "trigger", "forget_first", "retain_first"]


@dataclass(frozen=True, slots=True)
class Split:
    """One set of rows under one condition.

    Attributes:
        name: Name of the set, as "retain".
        role: What the set is for; only "utility" enters the utility averages.
        condition: How the prompts were asked.
        rows: The rows, as they are asked.
    """

    name: str
    role: SplitRole
    condition: Condition
    rows: tuple[Row, ...]

    @property
    def key(self) -> str:
        """Name and condition, as "retain/trigger"."""
        return f"{self.name}/{self.condition}"


@dataclass(frozen=True, slots=True)
class Suite:
    """Everything that one evaluation asks.

    Attributes:
        name: For tables and the manifest.
        splits: The sets, in the order of the tables.
        max_new_tokens: Length at which every greedy answer is cut.

    Raises:
        InputError: Two splits have one key.
    """

    name: str
    splits: tuple[Split, ...]
    max_new_tokens: int

    def __post_init__(self) -> None:
        keys = [split.key for split in self.splits]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise InputError(f"Suite {self.name} has {', '.join(twice)} more than once; rename one.")
