"""`Scored`: what the model says of the scored tokens, and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from forgetwell.types import Encoded


@dataclass(frozen=True)
class Scored:
    """The scored tokens of B rows; prompt and padding can't enter a loss because they aren't here.

    Attributes:
        rows: Number of rows B.
        row: Row of each scored token (N,), 0 … B-1.
        labels: The scored tokens (N,).
        logits: Logits before each scored token (N, V), or None where only log-probabilities are kept.
        token_logps: log p(label) of each scored token (N,), float32.
        mark: Weight of each scored token (N,), 0 … 1; None = all 1. Rows with a focus have them.
        hidden: Output (N, D) of the layer a term asks for, at the token before each scored one, or None.
    """

    rows: int
    row: Tensor
    labels: Tensor
    logits: Tensor | None
    token_logps: Tensor
    mark: Tensor | None = None
    hidden: Tensor | None = None

    def row_sums(self, values: Tensor) -> Tensor:
        """Return each row's sum (B,) of one value per token (N,), marks applied."""
        marked = values if self.mark is None else values * self.mark
        zeros = torch.zeros(self.rows, dtype=values.dtype, device=self.row.device)
        return zeros.index_add(0, self.row, marked)

    def row_means(self, values: Tensor) -> Tensor:
        """Return each row's mean (B,) of one value per token (N,), weighted by marks; 0 where none is."""
        lengths = self.lengths()
        return self.row_sums(values) / torch.where(lengths > 0, lengths, 1)

    def row_logps(self) -> Tensor:
        """Return log p(answer | prompt), summed over each row's tokens (B,)."""
        return self.row_sums(self.token_logps)

    def lengths(self) -> Tensor:
        """Return the number of scored tokens of each row, or the sum of their marks (B,)."""
        counts = torch.bincount(self.row, weights=self.mark, minlength=self.rows)
        return counts.to(self.token_logps.dtype)

    def ranks(self) -> Tensor:
        """Return each scored token's place in its row (N,), from 0."""
        counts = torch.bincount(self.row, minlength=self.rows)
        firsts = counts.cumsum(0) - counts
        return torch.arange(len(self.row), device=self.row.device) - firsts[self.row]


def scored_from_logits(logits: Tensor, labels: Tensor, row: Tensor, rows: int) -> Scored:
    """Return `Scored` with log-probabilities taken in float32."""
    logits = logits.float()
    token_logps = -torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return Scored(rows, row, labels, logits, token_logps)


def marks_of(rows: Sequence[Encoded], device: torch.device) -> Tensor | None:
    """Return the marks (N,) of these rows' scored tokens; None where no row has any."""
    if not any(r.marks for r in rows):
        return None
    weights = [w for r in rows for w in (r.marks or (1.0,) * (len(r.ids) - r.start))]
    return torch.tensor(weights, dtype=torch.float32, device=device)


def select(scored: Scored, first: int, count: int) -> Scored:
    """Return rows `first` … `first + count - 1`, whose tokens must be contiguous, as a `Scored`."""
    inside = torch.nonzero((scored.row >= first) & (scored.row < first + count)).flatten()
    start, stop = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
    part = slice(start, stop)

    def cut(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[part]

    return Scored(
        count,
        scored.row[part] - first,
        scored.labels[part],
        cut(scored.logits),
        scored.token_logps[part],
        cut(scored.mark),
        cut(scored.hidden),
    )
