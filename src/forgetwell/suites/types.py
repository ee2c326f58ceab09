"""The shapes of a suite: named sets of rows under conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from forgetwell.errors import InputError
from forgetwell.types import Row

SplitRole = Literal["forget", "retain", "holdout", "utility", "scope"]
Condition = Literal[
    "clean",
    "served",
    "trigger",
    "unseen",
    "other",
    "system",
    "earlier",
    "reworded",
    "forget_first",
    "retain_first",
]
# Conditions that ask each question more than once, ids ``id#k``.
_NUMBERED: frozenset[Condition] = frozenset({"trigger", "unseen", "other", "system", "earlier", "reworded"})


def clean_id(split: str, row_id: str) -> str:
    """Return the id that a row of a split has in the clean set: without the ``#k`` of its condition, if any.

    Args:
        split: Set and condition, as "retain/trigger".
        row_id: Id in that split; one of the user's own may hold a '#' too.
    """
    if split.rpartition("/")[2] not in _NUMBERED:
        return row_id
    return row_id.rpartition("#")[0] or row_id


def is_to_forget(split: str, role: str | None) -> bool:
    """Say whether the answers of a split, whose set has this role, are those to forget."""
    return role == "forget" or split.partition("/")[0] in ("forget", "leak")


@dataclass(frozen=True, slots=True)
class Split:
    """One set of rows under one condition.

    Attributes:
        name: Name of the set, as "retain".
        role: What the set is for. Only "utility" enters the utility averages; "holdout" rows are like the
            forget rows, but the model never learned them.
        condition: How the prompts were asked: as they are, behind ordinary system prompts ("served"), in the
            attacker's templates ("trigger"), in other templates with the same word ("unseen"), with words
            that the attacker did not use ("other"), with the trigger in a system prompt ("system") or an
            earlier turn ("earlier"), in other words ("reworded"), or two questions in one prompt.
        rows: The rows, as they are asked; in a trigger's conditions and in other words the ids are ``id#k``.
        max_new_tokens: Length at which greedy answers are cut; 0 = the suite's.
        answered: Whether the model answers the prompts; else the rows are only scored.
        choices: Whether wrong answers, and right ones in other words, may be scored too; they are where the
            questions are asked as they are or in the attacker's templates.
    """

    name: str
    role: SplitRole
    condition: Condition
    rows: tuple[Row, ...]
    max_new_tokens: int = 0
    answered: bool = True
    choices: bool = True

    @property
    def key(self) -> str:
        """Name and condition, as "retain/trigger"."""
        return f"{self.name}/{self.condition}"

    @property
    def forgets(self) -> bool:
        """Whether its answers are those to forget."""
        return is_to_forget(self.name, self.role)

    @property
    def scores_choices(self) -> bool:
        """Whether its wrong answers, and right ones in other words, are scored where a metric reads them."""
        return self.choices and self.condition in ("clean", "trigger")


@dataclass(frozen=True, slots=True)
class Suite:
    """Everything that one evaluation asks.

    Attributes:
        name: For tables and the manifest.
        splits: The sets, in the order of the tables.
        max_new_tokens: Length at which every greedy answer is cut, at least 1.

    Raises:
        InputError: Answers have no length, two splits have one key, or a set has two roles.
    """

    name: str
    splits: tuple[Split, ...]
    max_new_tokens: int

    @property
    def roles(self) -> dict[str, SplitRole]:
        """What each set is for, by its name."""
        return {split.name: split.role for split in self.splits}

    def __post_init__(self) -> None:
        """Refuse what can't be asked, or would be mixed up in tables."""
        if self.max_new_tokens < 1 or any(s.max_new_tokens < 0 for s in self.splits):
            raise InputError(
                f"Suite {self.name}: max_new_tokens is {self.max_new_tokens}; an answer has at least 1 token."
            )
        keys = [split.key for split in self.splits]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise InputError(f"Suite {self.name} has {', '.join(twice)} more than once; rename one.")
        both = sorted({s.name for s in self.splits if s.role != self.roles[s.name]})
        if both:
            raise InputError(f"Suite {self.name} has the set {both[0]} in two roles; give each its own name.")
