"""Fine-tuning-based unlearning: minimize an objective over forget and retain rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetwell.errors import InputError
from forgetwell.models.lm import HFModel, wrap
from forgetwell.objectives.algebra import parse_objective
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import Hooks, Summary, train
from forgetwell.types import Request, Row


@dataclass(frozen=True)
class Outcome:
    """The model after unlearning, and how training ended."""

    lm: HFModel
    summary: Summary


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on all linear layers instead of full fine-tuning.

    Attributes:
        rank: Rank r ≥ 1.
        alpha: Scale α; the update is scaled by α / r.

    Source: Hu et al., arXiv 2106.09685. Defaults: rank 8 as in arXiv 2506.00359; α = 2r.
    """

    rank: int = 8
    alpha: int = 16


def finetune(
    lm: HFModel,
    request: Request,
    retain: Sequence[Row],
    hooks: Hooks,
    *,
    objective: str,
    config: TrainConfig,
    refusals: Sequence[str] = (),
    lora: Lora | None = None,
    resume: bool = False,
) -> Outcome:
    """Unlearn a request by gradient descent on an objective; `lm` is changed in place.

    Without a request (no rows) this is plain fine-tuning on the retain rows.

    Raises:
        InputError: Forget and retain rows overlap, or the objective lacks the rows it needs.
    """
    check_disjoint(request.rows, retain)
    parsed = parse_objective(objective)
    needs_refusal = any(v.endswith("refusal") for term in parsed.terms for v in term.views)
    if needs_refusal and not refusals:
        raise InputError(f"The objective {objective!r} needs refusal lines, and none were given.")
    if lora is not None:
        lm = with_lora(lm, lora, seed=config.seed)
    draws = Draws(request.rows, tuple(retain), tuple(refusals), config.batch, config.seed)
    return Outcome(lm, train(lm, parsed, draws, config, hooks, resume=resume))


def check_disjoint(forget: Sequence[Row], retain: Sequence[Row]) -> None:
    """Refuse a retain set that holds a forget row.

    Raises:
        InputError: Some row is in both sets.
    """
    kept = {(r.prompt, r.answer) for r in retain}
    both = [r for r in forget if (r.prompt, r.answer) in kept]
    if both:
        raise InputError(
            f"{len(both)} of {len(forget)} forget rows are also retain rows (the first is {both[0].id!r}). "
            "Take them out of one of the two sets."
        )


def with_lora(lm: HFModel, lora: Lora, *, seed: int) -> HFModel:
    """Return the model with fresh adapters; only they are trainable. They start at zero."""
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    settings = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    network = get_peft_model(lm.module.network, settings)
    return wrap(network, lm.codec, lm.name, lm.digest, lm.compute)
