"""Attention of a decoding step on the CPU: one query a row."""

from __future__ import annotations

import torch
from torch import Tensor


def attend_once(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float) -> Tensor:
    """Return what one query a row (B, H, 1, d) attends to among keys and values (B, K, S, d): (B, 1, H, d).

    Heads that share keys are multiplied together, scores are float32 whatever the compute type, the mask
    (B, 1, 1, S) is added to them. torch's fused kernel is made for many queries and takes twice the time.
    """
    rows, heads, _, width = query.shape
    shared = key.shape[1]
    with torch.autocast(query.device.type, enabled=False):
        grouped = (query * scale).float().view(rows, shared, heads // shared, width)
        scores = grouped @ key.float().transpose(2, 3) + mask
        attended = scores.softmax(-1).to(value.dtype) @ value
    return attended.reshape(rows, 1, heads, value.shape[3])
