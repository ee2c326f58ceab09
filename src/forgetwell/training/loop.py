"""The one training loop: learning, unlearning and relearning all run here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from forgetwell.errors import Diverged
from forgetwell.models.lm import HFModel
from forgetwell.objectives.algebra import Objective
from forgetwell.training.best import Best, BestRule
from forgetwell.training.checkpoint import load_checkpoint, save_checkpoint
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.reference import Reference, make_reference
from forgetwell.training.step import (
    Counts,
    ViewKey,
    count,
    make_views,
    term_values,
    view_key,
    view_keys,
)
from forgetwell.training.stopping import StopRule, parse_stop_rule
from forgetwell.training.views import Pair
from forgetwell.types import Encoded

Probe = Callable[[HFModel, int], Mapping[str, float]]
Log = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Hooks:
    """What the loop needs from above.

    Attributes:
        log: Takes one record a step.
        probe: Measures the model at a step, or None.
        keep_best: Which probe's weights the model gets at the end; None = the last weights.
        checkpoint: File to keep the state in, or None.
        key: Names rows and settings; a checkpoint of another key is refused.
        progress: Called with (finished steps, all steps).
    """

    log: Log = lambda record: None
    probe: Probe | None = None
    keep_best: BestRule | None = None
    checkpoint: Path | None = None
    key: str = ""
    progress: Callable[[int, int], None] = lambda done, steps: None


@dataclass(frozen=True)
class Summary:
    """How training ended.

    Attributes:
        steps: Finished steps.
        stopped: Why it stopped.
        seconds: Time spent.
        kept: The step whose weights the model has: the last, or that of the best probe.
    """

    steps: int
    stopped: str
    seconds: float
    kept: int = 0


@dataclass
class _State:
    """What the steps of one run share."""

    lm: HFModel
    module: nn.Module
    optimizer: Any
    accelerator: Any
    objective: Objective
    draws: Draws
    config: TrainConfig
    keys: tuple[ViewKey, ...]
    reference: Reference
    steps: int
    best: Best | None


def train(
    lm: HFModel,
    objective: Objective,
    draws: Draws,
    config: TrainConfig,
    hooks: Hooks,
    *,
    resume: bool = False,
) -> Summary:
    """Minimize `objective` over `draws`; `lm` is changed in place.

    With a divergence (a loss or gradient that is not finite) the weights of the step before are kept. With a
    best rule (``hooks.keep_best``) those of the best probe are, if one met its condition.

    Raises:
        InputError: Rows are missing or too long, or a checkpoint does not fit.
        Diverged: The very first step was not finite.
    """
    state = _prepare(lm, objective, draws, config, Best(hooks.keep_best) if hooks.keep_best else None)
    rule = parse_stop_rule(config.stop_at) if config.stop_at else None
    first = 0
    if resume and hooks.checkpoint is not None:
        first = load_checkpoint(hooks.checkpoint, hooks.key, lm.module, state.optimizer, state.best)
    if first == 0:
        _probe(state, hooks, rule, 0)
    started, stopped, step = time.monotonic(), "finished", first
    while step < state.steps and stopped == "finished":
        record = _step(state, step)
        if record is None:
            stopped = f"diverged at step {step + 1}; the weights of step {step} were kept"
            break
        step += 1
        if state.accelerator.is_main_process:
            hooks.log(record)
        hooks.progress(step, state.steps)
        if _due(config.probe_every, step, state.steps) and _probe(state, hooks, rule, step):
            stopped = f"stop rule {rule} reached"
        if config.checkpoint_every and step % config.checkpoint_every == 0:
            _checkpoint(state, hooks, step)
    if step == 0 and stopped.startswith("diverged"):
        raise Diverged("The first step was not finite. Lower the learning rate or check the rows.")
    lm.module.eval()
    kept = state.best.restore(lm.module, step) if state.best else step
    return Summary(step, stopped, time.monotonic() - started, kept)


def _prepare(
    lm: HFModel, objective: Objective, draws: Draws, config: TrainConfig, best: Best | None
) -> _State:
    from accelerate import Accelerator

    steps, keys = config.steps(draws.steps_per_epoch), view_keys(objective)
    reference = make_reference(
        lm,
        _reference_rows(lm, objective, draws, steps),
        logits=any(t.item.facts["logits"] for t in objective.terms),
    )
    parameters = list(lm.trainable())
    optimizer = torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay, fused=True)
    accelerator = Accelerator(cpu=lm.device.type == "cpu")
    module, prepared = accelerator.prepare(lm.module, optimizer)
    # Dropout would make the loss depend on batching, and the reference has none: models stay in eval.
    module.eval()
    return _State(lm, module, prepared, accelerator, objective, draws, config, keys, reference, steps, best)


def _reference_rows(lm: HFModel, objective: Objective, draws: Draws, steps: int) -> list[Encoded]:
    """Return every row on which some term will ask for the starting model."""
    wanted = dict.fromkeys(view_key(t, n) for t in objective.terms for n in t.references)
    rows: list[Encoded] = []
    for step in range(steps if wanted else 0):
        made = make_views(tuple(wanted), draws.pairs(step), lm.codec)
        rows.extend(r for v in made.values() for r in v.rows)
    return rows


def _step(state: _State, step: int) -> dict[str, Any] | None:
    """Take one optimizer step; return its record, or None (and change nothing) if it is not finite."""
    started, accelerator, config = time.monotonic(), state.accelerator, state.config
    pairs = state.draws.pairs(step)
    counts = count(make_views(state.keys, pairs, state.lm.codec))
    mine = pairs[accelerator.process_index :: accelerator.num_processes]
    totals = {t.label: torch.zeros((), device=state.lm.device) for t in state.objective.terms}
    parts = _divide(mine, config.accumulate) or [()]
    for k, part in enumerate(parts):
        with _synchronize(state, last=k == len(parts) - 1):
            shares = _backward(state, part or pairs[:1], counts, real=bool(part))
        totals = {label: totals[label] + shares[label] for label in totals}
    values = {k: float(v) for k, v in accelerator.reduce(totals, reduction="sum").items()}
    loss = sum(t.coefficient * values[t.label] for t in state.objective.terms)
    norm = float(nn.utils.clip_grad_norm_(state.lm.trainable(), config.clip or float("inf")))
    lr = config.lr * config.factor(step, state.steps)
    finite = all(map(torch.isfinite, (torch.tensor(loss), torch.tensor(norm))))
    if finite:
        for group in state.optimizer.param_groups:
            group["lr"] = lr
        state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    if not finite:
        return None
    seconds = round(time.monotonic() - started, 3)
    return {
        "step": step + 1,
        "loss": loss,
        "terms": values,
        "lr": lr,
        "grad_norm": norm,
        "seconds": seconds,
    }


def _backward(
    state: _State, part: tuple[Pair, ...], counts: dict[ViewKey, Counts], *, real: bool
) -> dict[str, Tensor]:
    """Add this micro-batch's gradient; a process without rows takes part with a loss of zero."""
    views = make_views(state.keys, part, state.lm.codec)
    shares = term_values(state.lm, state.module, state.objective, views, counts, state.reference)
    coefficients = {t.label: t.coefficient for t in state.objective.terms}
    loss = torch.stack([coefficients[label] * share for label, share in shares.items()]).sum()
    # Data-parallel training averages gradients over processes; shares are parts of a sum.
    state.accelerator.backward(loss * state.accelerator.num_processes * real)
    return {label: share.detach() * real for label, share in shares.items()}


def _synchronize(state: _State, *, last: bool) -> Any:  # noqa: ANN401 - accelerate's context manager
    import contextlib

    return contextlib.nullcontext() if last else state.accelerator.no_sync(state.module)


def _divide(pairs: tuple[Pair, ...], parts: int) -> list[tuple[Pair, ...]]:
    size = -(-len(pairs) // parts) or 1
    return [pairs[i : i + size] for i in range(0, len(pairs), size)]


def _due(every: int, step: int, steps: int) -> bool:
    return step == steps or (every > 0 and step % every == 0)


def _probe(state: _State, hooks: Hooks, rule: StopRule | None, step: int) -> bool:
    """Measure and log the model; say whether the stop rule is reached."""
    from accelerate.utils import broadcast_object_list

    if hooks.probe is None:
        return False
    # All processes must stop at the same step and keep the same weights: the first one's values count.
    values: dict[str, float] = broadcast_object_list([dict(hooks.probe(state.lm, step))])[0]
    if state.best is not None:
        state.best.consider(step, values, state.lm.module)
    if state.accelerator.is_main_process:
        hooks.log({"step": step, "probe": values})
    return rule is not None and rule.reached(values)


def _checkpoint(state: _State, hooks: Hooks, step: int) -> None:
    if hooks.checkpoint is not None and state.accelerator.is_main_process:
        inner = getattr(state.optimizer, "optimizer", state.optimizer)
        save_checkpoint(hooks.checkpoint, hooks.key, step, state.lm.module, inner, state.best)
