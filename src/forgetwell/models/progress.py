"""How far a model is: its calls say how many rows more are done."""

from __future__ import annotations

from dataclasses import dataclass

from forgetwell.types import Progress


def silent(more: int) -> None:
    """Ignore progress."""


@dataclass
class Tally:
    """Adds up what several calls say; where the total was estimated, never more than that."""

    progress: Progress
    total: int
    done: int = 0

    def __call__(self, more: int) -> None:
        """Take down that more is done, and tell."""
        self.done += more
        self.progress(min(self.done, self.total), self.total)
