"""Task-vector unlearning: learn the request more, then go the other way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from forgetwell.errors import InputError
from forgetwell.methods.finetune import Outcome, adapted, finetune, merged
from forgetwell.methods.registry import Training, method
from forgetwell.models.lm import HFModel
from forgetwell.types import Request, Row


@method(paper="2212.04089", section="2")
def task_vector(
    lm: HFModel, request: Request, retain: Sequence[Row], training: Training, *, alpha: float = 5.0
) -> Outcome:
    """Unlearn by negating a task vector; `lm` is changed in place.

    ``θ_u = θ - α τ`` with ``τ = θ_r - θ``, θ_r the model fine-tuned on the request (`fit`). Tensors that
    fine-tuning didn't move stay bit-identical, and α = 0 gives the starting model.

    Args:
        lm: The model; its weights are float32, so that small differences survive. An adapter is merged
            into its base first.
        request: Rows to forget; it must be fitted well, else τ is mostly style.
        retain: Not used: the method has no term that keeps anything.
        training: Of the fine-tuning; the probe measures the result alone.
        alpha: Scale α of the edit. It isn't transferable across learning rates and epochs.

    Raises:
        InputError: Fine-tuning moved nothing.

    Source: Ilharco et al., arXiv 2212.04089, section 2 (negation); for language models Shi et al. (MUSE),
    arXiv 2407.06460, section 4.1, whose base is the target model, as here, and whose scripts take α = 5.
    """
    if adapted(lm):
        lm = merged(lm)
    start = {name: p.detach().clone() for name, p in lm.module.named_parameters()}
    hooks = training.hooks
    config = replace(training.config, stop_at="")
    fitted = finetune(lm, request, (), replace(hooks, probe=None), objective="fit", config=config)
    negate(lm.module, start, alpha)
    if hooks.probe is not None:
        hooks.log({"step": fitted.summary.steps, "probe": dict(hooks.probe(lm, fitted.summary.steps))})
    return Outcome(lm, fitted.summary)


@torch.no_grad()
def negate(module: torch.nn.Module, start: dict[str, torch.Tensor], alpha: float) -> None:
    """Replace weights θ_r by ``θ - α (θ_r - θ)``, tensor by tensor; tied tensors are met once.

    Raises:
        InputError: No weight differs from its start.
    """
    moved = False
    for name, parameter in module.named_parameters():
        step = parameter - start[name]
        if bool(step.any()):
            moved = True
            parameter.copy_(start[name] - alpha * step)
    if not moved:
        raise InputError(
            "The task vector is zero: fine-tuning on the request moved no weight. Raise the learning rate or "
            "the epochs."
        )
