"""A plain training step to compare with: the usual loop of the field, without deliberate waste.

A frozen copy of the starting model stays in memory, every view is a padded batch of its own, full logits are
kept, and matrix products run under autocast.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid, pad

from forgetwell.types import Encoded


@dataclass
class Plain:
    """The model, its frozen copy, and how products are computed."""

    network: Any
    frozen: Any
    compute: torch.dtype


def make_plain(network: Any, compute: torch.dtype) -> Plain:
    """Keep a frozen copy of the network beside it."""
    return Plain(network, copy.deepcopy(network).requires_grad_(False), compute)


def answer_losses(network: Any, rows: Sequence[Encoded], compute: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of each answer token (B, T) and the mask of answer tokens (B, T)."""
    width = max(len(r.ids) for r in rows)
    ids = torch.stack([pad(torch.tensor(r.ids), (0, width - len(r.ids))) for r in rows])
    attention = torch.stack([torch.arange(width) < len(r.ids) for r in rows])
    scored = torch.stack([torch.arange(width) >= r.start for r in rows]) & attention
    with torch.autocast("cpu", dtype=compute, enabled=compute is not torch.float32):
        logits = network(input_ids=ids, attention_mask=attention.long()).logits
    values = cross_entropy(logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none")
    return values * scored[:, 1:], scored[:, 1:]


def plain_loss(
    plain: Plain,
    forget: Sequence[Encoded],
    retain: Sequence[Encoded],
    scope: Sequence[Encoded] = (),
    *,
    eta: float = 5.0,
    beta: float = 0.1,
) -> Tensor:
    """Return npo + gdr, and eta*su where there are scope rows; one forward a view and model."""
    ours, _ = answer_losses(plain.network, forget, plain.compute)
    with torch.no_grad():
        theirs, _ = answer_losses(plain.frozen, forget, plain.compute)
    loss = -(2 / beta) * logsigmoid(beta * (ours.sum(1) - theirs.sum(1))).mean()
    for rows, weight in ((retain, 1.0), (scope, eta)):
        if rows:
            values, mask = answer_losses(plain.network, rows, plain.compute)
            loss = loss + weight * values.sum() / mask.sum()
    return loss
