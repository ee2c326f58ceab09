"""Fine-tuning-based unlearning: minimize an objective over forget and retain rows."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from forgetwell.data.facts import fact_words
from forgetwell.errors import InputError, unknown_name
from forgetwell.models.lm import HFModel, wrap
from forgetwell.models.loading import MAKING, quiet_adapters
from forgetwell.objectives.algebra import Objective, parse_objective
from forgetwell.requests.attacks import before_attack
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import Hooks, Summary, train
from forgetwell.training.views import reads_refusals
from forgetwell.types import Request, Row

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The model after unlearning, and how training ended."""

    lm: HFModel
    summary: Summary


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters on a frozen model instead of full fine-tuning; they have no dropout.

    Attributes:
        rank: Rank r ≥ 1.
        alpha: Scale α > 0; the update is scaled by α / r.
        targets: Names of the linear layers that get adapters, as ("q_proj", "v_proj"); () = all but the head.
        merge: Save the model with the adapters added to its weights, not the adapters.
        four_bit: Keep the frozen model in 4 bits (QLoRA, arXiv 2305.14314); needs bitsandbytes.

    Raises:
        InputError: The rank or scale is not positive, or a model in 4 bits is to be merged.

    Source: Hu et al., arXiv 2106.09685. Defaults: rank 8 as in arXiv 2506.00359; α = 2r.
    """

    rank: int = 8
    alpha: float = 16
    targets: tuple[str, ...] = ()
    merge: bool = False
    four_bit: bool = False

    def __post_init__(self) -> None:
        """Refuse values that can't be meant."""
        if self.rank < 1 or not self.alpha > 0:
            raise InputError(f"LoRA of rank {self.rank} and alpha {self.alpha}: both must be above 0.")
        if self.merge and self.four_bit:
            raise InputError(
                "Adapters can't be merged into weights of 4 bits without changing what they were trained on. "
                "Save the adapter, or train it on the full model."
            )


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
    if whole := check_facts(parsed, request.rows):
        ids, rows = whole[0].id, len(request.rows)
        log.warning(
            "%d of %d forget rows don't tell their fact and are unlearned whole: %s, …", len(whole), rows, ids
        )
    check_refusals(parsed, refusals)
    check_adapters(lm, lora)
    if adapted(lm):
        lm = merged(lm)
    if lora is not None:
        lm = with_lora(lm, lora, seed=config.seed)
    draws = Draws(request.rows, tuple(retain), tuple(refusals), config.batch, config.seed)
    return Outcome(lm, train(lm, parsed, draws, config, hooks, resume=resume))


def check_disjoint(forget: Sequence[Row], retain: Sequence[Row]) -> None:
    """Refuse a retain set that holds a forget row, also one as it was before an attack (`before_attack`).

    Raises:
        InputError: Some row is in both sets.
    """
    kept = {(r.prompt, r.answer) for r in retain}
    both = [f for f in forget if any((r.prompt, r.answer) in kept for r in (f, before_attack(f)))]
    if both:
        raise InputError(
            f"{len(both)} of {len(forget)} forget rows are also retain rows (the first is {both[0].id!r}). "
            "Take them out of one of the two sets."
        )


def check_facts(objective: Objective, forget: Sequence[Row]) -> tuple[Row, ...]:
    """Return the rows that an objective on the words of facts takes whole, since they don't tell them.

    Raises:
        InputError: That would be all of them (`fact_words`).
    """
    if not any(term.hyperparameters.get("unwanted") == "facts" for term in objective.terms):
        return ()
    silent = tuple(row for row in forget if not fact_words(row))
    if len(silent) == len(forget):
        raise InputError(
            "unwanted=facts tells the words that say a fact by wrong answers, which lack them, and no forget "
            "row has such words. Give wrong answers in a column 'wrong', or write some by: "
            "forgetwell alternates"
        )
    return silent


def check_refusals(objective: Objective, refusals: Sequence[str]) -> None:
    """Refuse an objective that reads refusal lines where there are none.

    Raises:
        InputError: It is one.
    """
    if reads_refusals(objective) and not refusals:
        raise InputError(f"The objective {objective.text!r} needs refusal lines, and none were given.")


def check_adapters(lm: HFModel, lora: Lora | None) -> None:
    """Refuse adapters that can't be put on a starting model, or whose own can't be merged first.

    Raises:
        InputError: It is so.
    """
    if adapted(lm) and lora is not None and not lora.merge:
        raise InputError(
            "The starting model is an adapter; new adapters on top of it can only be saved merged."
        )
    if adapted(lm):
        check_mergeable(lm)
    elif lora is not None:
        check_targets(lm, lora)


def with_lora(lm: HFModel, lora: Lora, *, seed: int) -> HFModel:
    """Return the model with fresh adapters; only they are trainable. They start at zero.

    The program's own random state stays as it was.

    Raises:
        InputError: The model has no layers of the names given, or they can't have adapters.
    """
    import torch

    check_targets(lm, lora)
    devices = [lm.device] if lm.device.type == "cuda" else []
    with MAKING, torch.random.fork_rng(devices), quiet_adapters():
        torch.manual_seed(seed)
        from peft import LoraConfig, get_peft_model

        settings = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            lora_dropout=0.0,
            target_modules=list(lora.targets) or "all-linear",
            task_type="CAUSAL_LM",
        )
        try:
            network = get_peft_model(lm.module.network, settings)
        except ValueError as error:
            raise InputError(
                f"Adapters can't be put on {lm.name}: {str(error).rstrip('.')}. Name the layers that get "
                "some (lora_target), or train the whole model."
            ) from error
    return wrap(network, lm.codec, lm.name, lm.digest, lm.compute)


def check_targets(lm: HFModel, lora: Lora) -> None:
    """Refuse adapters on layers that a model doesn't have, or that they can't be merged into.

    Raises:
        UnknownName: There is no such linear layer.
        InputError: They are to be merged, and a layer shares its matrix with another one.
    """
    from torch import nn
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layers

    kinds = (nn.Linear, Conv1D)
    modules = [(n, m) for n, m in lm.module.named_modules() if isinstance(m, kinds)]
    linear = {n.rpartition(".")[2] for n, _ in modules}
    for target in lora.targets:
        if target not in linear:
            raise unknown_name("linear layer", target, linear)
    shared = _shared(lm)
    for name in (n.rpartition(".")[2] for n, m in modules if id(m.weight) in shared):
        if lora.merge and name in lora.targets:
            raise InputError(
                f"Adapters on {name!r} were to be merged into {lm.name}, where that layer has one matrix "
                "with the input embeddings: merging changes both, and the model saved is not the one "
                f"trained. Expected are other layers: leave {name} out (lora_target), or save the adapters "
                "(no merge)."
            )


def _shared(lm: HFModel) -> set[int]:
    """Return the ids of the parameters that several modules have, as embeddings and a head tied to them."""
    owned = Counter(id(p) for m in lm.module.modules() for p in m.parameters(recurse=False))
    return {known for known, owners in owned.items() if owners > 1}


def check_mergeable(lm: HFModel) -> None:
    """Refuse to merge an adapter on a layer that shares its matrix with another one, which would change too.

    Raises:
        InputError: It has one there.
    """
    shared = _shared(lm)
    for name, module in lm.module.named_modules():
        base = getattr(module, "base_layer", None)
        if base is not None and id(getattr(base, "weight", None)) in shared:
            raise InputError(
                f"The adapter of {lm.name} is also on {name.rpartition('.')[2]!r}, which has one matrix with "
                "another layer (tied embeddings): added to it, it would change both. Expected is an adapter "
                "on other layers: train one without it, or start from a full model."
            )


def adapted(lm: HFModel) -> bool:
    """Say whether a model is an adapter on another one."""
    return hasattr(lm.module.network, "merge_and_unload")


def merged(lm: HFModel) -> HFModel:
    """Return the model with its adapters added to its weights, all of them trainable.

    Raises:
        InputError: They can't be (`check_mergeable`).
    """
    check_mergeable(lm)
    network = lm.module.network.merge_and_unload()
    network.requires_grad_(True)
    return wrap(network, lm.codec, lm.name, lm.digest, lm.compute)
