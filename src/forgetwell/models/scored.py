"""`Scored`: what the model says of the scored tokens, and of nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scored:
    """The scored tokens of B rows; prompt and padding can't enter a loss because they aren't here.

    Attributes:
        rows: Number of rows B.
        row: Row of each scored token (N,), 0 … B-1.
        labels: The scored tokens (N,).
        logits: Logits before each scored token (N, V), or None where only log-probabilities are kept.
        token_logps: log p(label) of each scored token (N,), float32.
    """

    rows: int
    row: Tensor
    labels: Tensor
    logits: Tensor | None
    token_logps: Tensor

    def row_logps(self) -> Tensor:
        """Return log p(answer | prompt), summed over each row's tokens (B,)."""
        zeros = torch.zeros(self.rows, dtype=self.token_logps.dtype, device=self.row.device)
        return zeros.index_add(0, self.row, self.token_logps)

    def lengths(self) -> Tensor:
        """Return the number of scored tokens of each row (B,)."""
        return torch.bincount(self.row, minlength=self.rows).to(self.token_logps.dtype)


def scored_from_logits(logits: Tensor, labels: Tensor, row: Tensor, rows: int) -> Scored:
    """Return `Scored` with log-probabilities taken in float32."""
    logits = logits.float()
    token_logps = -torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    return Scored(rows, row, labels, logits, token_logps)


def select(scored: Scored, first: int, count: int) -> Scored:
    """Return rows `first` … `first + count - 1`, whose tokens must be contiguous, as a `Scored`."""
    inside = torch.nonzero((scored.row >= first) & (scored.row < first + count)).flatten()
    start, stop = (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (0, 0)
    part = slice(start, stop)
    return Scored(
        count,
        scored.row[part] - first,
        scored.labels[part],
        None if scored.logits is None else scored.logits[part],
        scored.token_logps[part],
    )
