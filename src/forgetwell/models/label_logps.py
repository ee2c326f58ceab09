"""Log-probabilities of labels straight from hidden states: the full logits are never held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

CHUNK = 8192  # vocabulary entries a pass: N x 8192 float32 is 32 MB at 1,000 scored tokens


def label_logps(hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
    """Return log softmax(hidden weightᵀ + bias)[labels] (N,) in float32, differentiable.

    The vocabulary is walked in chunks, forward with a running log-sum-exp and backward by computing each
    chunk's logits again. Peak memory is N·CHUNK floats instead of several N·V; a matrix product more is paid.
    Products are taken in the type of `hidden`: there the weight is cast a chunk at a time, so that no second
    copy of it or of its gradient exists.

    Args:
        hidden: Hidden states (N, D) in the compute type.
        weight: LM head (V, D), in this or a wider type.
        bias: Its bias (V,), or None.
        labels: The scored tokens (N,).
    """
    values: Tensor = _LabelLogps.apply(hidden, weight, bias, labels)  # type: ignore[no-untyped-call] # torch
    return values


class _LabelLogps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:  # noqa: ANN401
        total = hidden.new_full((len(hidden),), float("-inf"), dtype=torch.float32)
        own = torch.zeros_like(total)
        for start, _, logits in _chunks(hidden, weight, bias):
            total = torch.logaddexp(total, logits.logsumexp(-1))
            rows, columns = _inside(labels, start, logits.shape[1])
            own[rows] = logits[rows, columns]
        ctx.save_for_backward(hidden, weight, bias, labels, total)
        return own - total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        hidden, weight, bias, labels, total = ctx.saved_tensors
        upstream = grads[0][:, None]
        to_hidden = torch.zeros_like(hidden, dtype=torch.float32)
        to_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        to_bias = torch.empty_like(bias) if bias is not None and ctx.needs_input_grad[2] else None
        for start, part, logits in _chunks(hidden, weight, bias):
            stop = start + logits.shape[1]
            slope = logits.sub_(total[:, None]).exp_().mul_(-upstream)
            rows, columns = _inside(labels, start, logits.shape[1])
            slope[rows, columns] += upstream[rows, 0]
            compute = slope.to(hidden.dtype)
            to_hidden += compute @ part
            if to_weight is not None:
                to_weight[start:stop] = compute.T @ hidden
            if to_bias is not None:
                to_bias[start:stop] = slope.sum(0)
        return to_hidden.to(hidden.dtype), to_weight, to_bias, None


def _chunks(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Give (first vocabulary entry, the chunk of the weight, float32 logits), products in hidden's type."""
    for start in range(0, len(weight), CHUNK):
        part = weight[start : start + CHUNK].to(hidden.dtype)
        offset = None if bias is None else bias[start : start + CHUNK].to(hidden.dtype)
        yield start, part, torch.nn.functional.linear(hidden, part, offset).float()


def _inside(labels: Tensor, start: int, width: int) -> tuple[Tensor, Tensor]:
    """Return which rows have their label in this chunk, and at which column."""
    rows = ((labels >= start) & (labels < start + width)).nonzero().flatten()
    return rows, labels[rows] - start
