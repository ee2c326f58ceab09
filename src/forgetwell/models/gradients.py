"""How far one step of training on a text would move a model."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from forgetwell.models.lm import HFModel
from forgetwell.types import Row


def gradient_norms(lm: HFModel, rows: Sequence[Row]) -> list[float]:
    """Return, for each row, the mean over parameter tensors of the 2-norm of its loss gradient.

    ``(1/P) Σ_p ||∂ loss(y | x) / ∂ θ_p||_2`` with the mean loss of the answer's tokens; one row at a time.
    The model is left as it was.

    Source: Wang et al., arXiv 2402.17012; the mean of per-tensor norms, as open-unlearning has it.
    """
    parameters = list(lm.trainable())
    norms = []
    for row in rows:
        loss = -lm.forward([lm.codec.encode(row)]).token_logps.mean()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        found = [torch.zeros(()) if g is None else g.norm().cpu() for g in gradients]
        norms.append(float(torch.stack(found).mean()))
    return norms
