"""How far one step of training on a text would move a model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from forgetwell.models.lm import HFModel
from forgetwell.types import Row

_ADAPTER = ".lora_"  # in the names of an adapter's own parameters


def gradient_norms(lm: HFModel, rows: Sequence[Row]) -> list[float]:
    """Return, for each row, the mean over parameter tensors of the 2-norm of its loss gradient.

    ``(1/P) Σ_p ||∂ loss(y | x) / ∂ θ_p||_2`` with the mean loss of the answer's tokens; one row at a time.
    Frozen parameters count as well, and an adapter's own don't: its model is worth what it is with the
    adapter merged. The model is left as it was.

    Source: Wang et al., arXiv 2402.17012; the mean of per-tensor norms, as open-unlearning has it.
    """
    norms = []
    with _differentiable(lm) as parameters:
        for row in rows:
            loss = -lm.forward([lm.codec.encode(row)]).token_logps.mean()
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            found = [torch.zeros(()) if g is None else g.norm().cpu() for g in gradients]
            norms.append(float(torch.stack(found).mean()))
    return norms


@contextlib.contextmanager
def _differentiable(lm: HFModel) -> Iterator[list[nn.Parameter]]:
    """Give the parameters that count and can have a gradient; frozen ones come back as they were."""
    named = lm.module.named_parameters()
    parameters = [p for n, p in named if p.is_floating_point() and _ADAPTER not in n]  # 4 bits are integers
    frozen = [p for p in parameters if not p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        yield parameters
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
