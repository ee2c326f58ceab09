"""Divergences between the next-token distributions of two models."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import log_softmax


def kl(from_logits: Tensor, to_logits: Tensor) -> Tensor:
    """Return ``KL(softmax(from) ‖ softmax(to))`` (N,), ≥ 0, in nats, of logits (N, V).

    Source: the definition; its gradient by the second logits is that of cross-entropy with soft labels.
    """
    theirs, ours = log_softmax(from_logits, -1), log_softmax(to_logits, -1)
    return (theirs.exp() * (theirs - ours)).sum(-1)
