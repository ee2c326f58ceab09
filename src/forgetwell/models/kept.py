"""A model that is asked about each row once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from forgetwell.data.encoding import Codec
from forgetwell.models.lm import LM
from forgetwell.models.progress import Tally, silent
from forgetwell.types import Generation, Progress, Row, TokenScores, quiet


class Kept:
    """An `LM` that keeps scores and answers, for several readers of the same rows, and tells how far it is.

    Attributes:
        lm: The model itself.
        progress: Called with the rows scored, and all that were asked for so far.
        scores: By row, and whether with moments.
        answers: By row and longest answer.
    """

    def __init__(self, lm: LM, progress: Progress = quiet) -> None:
        self.lm = lm
        self.progress = progress
        self.scores: dict[tuple[Row, bool], TokenScores] = {}
        self.answers: dict[tuple[Row, int], Generation] = {}
        self.name: str = lm.name
        self.digest: str = lm.digest
        self.codec: Codec = lm.codec

    def score(
        self, rows: Sequence[Row], *, moments: bool = False, progress: Callable[[int], None] = silent
    ) -> list[TokenScores]:
        """Score the rows that are new, and return all of them as `LM.score` does."""
        new = [row for row in dict.fromkeys(rows) if (row, moments) not in self.scores]
        tally = Tally(self.progress, len(self.scores) + len(new), len(self.scores))

        def tell(more: int) -> None:
            tally(more)
            progress(more)

        if remembered := len(rows) - len(new):
            progress(remembered)
        scored = self.lm.score(new, moments=moments, progress=tell) if new else []
        self.scores.update({(row, moments): score for row, score in zip(new, scored, strict=True)})
        return [self.scores[row, moments] for row in rows]

    def generate(
        self, rows: Sequence[Row], *, max_new_tokens: int, progress: Callable[[int], None] = silent
    ) -> list[Generation]:
        """Answer the rows that are new, and return all answers as `LM.generate` does."""
        new = [row for row in dict.fromkeys(rows) if (row, max_new_tokens) not in self.answers]
        if remembered := len(rows) - len(new):
            progress(remembered)
        said = self.lm.generate(new, max_new_tokens=max_new_tokens, progress=progress) if new else []
        self.answers.update({(row, max_new_tokens): text for row, text in zip(new, said, strict=True)})
        return [self.answers[row, max_new_tokens] for row in rows]

    def save(self, folder: Path) -> None:
        """Save the model."""
        self.lm.save(folder)
