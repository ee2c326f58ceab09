"""What the steps of one run share, and one step in two halves: the gradient, and the move along it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from forgetwell.calls import parse_call
from forgetwell.data.encoding import Codec
from forgetwell.models.lm import HFModel
from forgetwell.models.processes import started_processes
from forgetwell.objectives.algebra import Objective, WeightedTerm
from forgetwell.training.best import Best
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.gradient import Gradient
from forgetwell.training.parallel import Parallel, full, parallel
from forgetwell.training.reference import make_reference
from forgetwell.training.rules import STEP_RULES, Descent, StepRule
from forgetwell.training.step import make_views, read_layers, reference_keys
from forgetwell.training.stopping import Probing, parse_stop_rule
from forgetwell.training.terms import next_duals, starting_duals, weights
from forgetwell.types import Encoded


@dataclass
class State:
    """What the steps of one run share.

    Attributes:
        parallel: The model, as the processes of the run train it.
        optimizer: AdamW over the parameters in training.
        objective: What is minimized.
        draws: The rows of each step.
        config: Hyperparameters.
        gradient: Differentiates the objective.
        rule: Which gradient a step descends.
        steps: Planned steps.
        duals: Dual variables, by the label of their term.
        probing: When the model is measured.
        best: The best probe so far, or None without a rule.
        saved: Step of the last checkpoint; 0 = none.
    """

    parallel: Parallel
    optimizer: torch.optim.Optimizer
    objective: Objective
    draws: Draws
    config: TrainConfig
    gradient: Gradient
    rule: StepRule
    steps: int
    duals: dict[str, float]
    probing: Probing
    best: Best | None
    saved: int = 0


@dataclass(frozen=True)
class Slope:
    """Loss and gradient at the weights before a step; the gradient itself is the parameters'.

    Attributes:
        step: The step's number, from 0.
        factors: Weight of each term.
        values: Value of each term.
        loss: Their weighted sum.
        norm: Length of the gradient before clipping.
        seconds: Time spent.
    """

    step: int
    factors: Mapping[str, float]
    values: Mapping[str, float]
    loss: float
    norm: float
    seconds: float


def prepare(lm: HFModel, objective: Objective, draws: Draws, config: TrainConfig, best: Best | None) -> State:
    """Return the state before the first step; the starting model's values are computed here.

    Raises:
        InputError: Rows are missing or too long.
    """
    steps = config.steps(draws.steps_per_epoch)
    item, settings = STEP_RULES.resolve(parse_call(config.step_rule))
    # Dropout would make the loss depend on batching, and the reference has none: models stay in eval.
    lm.module.eval()
    reference = make_reference(
        lm,
        reference_rows(objective, draws, steps, lm.codec),
        logits=any(t.item.facts["logits"] and t.references for t in objective.terms),
        layers=read_layers(objective),
    )
    spread = parallel(lm)
    parameters = list(spread.lm.trainable())
    optimizer = torch.optim.AdamW(parameters, config.lr, weight_decay=config.weight_decay, fused=True)
    gradient = Gradient(spread, objective, reference, config.accumulate)
    rule = partial(item.function, **settings)
    duals = starting_duals(objective)
    probing = Probing(config.probe_every, parse_stop_rule(config.stop_at) if config.stop_at else None)
    return State(spread, optimizer, objective, draws, config, gradient, rule, steps, duals, probing, best)


def reference_rows(objective: Objective, draws: Draws, steps: int, codec: Codec) -> list[Encoded]:
    """Return every row on which some term will ask this process for the starting model."""
    wanted = reference_keys(objective)
    rows: list[Encoded] = []
    processes = started_processes()
    for step in range(steps if wanted else 0):
        pairs = draws.pairs(step)
        mine = pairs[processes.index :: processes.count] or pairs[:1]
        made = make_views(wanted, mine, codec)
        rows.extend(r for v in made.values() for r in v.rows)
    return rows


def differentiate(state: State, step: int) -> Slope | None:
    """Give the parameters a step's gradient, clipped; None and no gradient if it or the loss isn't finite.

    Nothing else changes. All processes get the same answer, since both numbers are those of the whole step.
    """
    started, config = time.monotonic(), state.config
    factors = weights(state.objective, state.duals, (step + 1) / state.steps)
    values = state.rule(_descent(state, step, factors))
    loss = sum(factors[label] * value for label, value in values.items())
    parameters = state.parallel.lm.trainable()
    norm = float(full(nn.utils.clip_grad_norm_(parameters, config.clip or float("inf"))))
    if not (math.isfinite(loss) and math.isfinite(norm)):
        state.optimizer.zero_grad(set_to_none=True)
        return None
    return Slope(step, factors, values, loss, norm, time.monotonic() - started)


def descend(state: State, slope: Slope) -> dict[str, Any]:
    """Take the step whose gradient the parameters have; return its record."""
    started = time.monotonic()
    lr = state.config.lr * state.config.factor(slope.step, state.steps)
    for group in state.optimizer.param_groups:
        group["lr"] = lr
    state.optimizer.step()
    state.optimizer.zero_grad(set_to_none=True)
    record = {
        "step": slope.step + 1,
        "loss": slope.loss,
        "terms": dict(slope.values),
        "lr": lr,
        "grad_norm": slope.norm,
        "seconds": round(slope.seconds + time.monotonic() - started, 3),
    }
    if any(t.schedule for t in state.objective.terms):
        record["weights"] = dict(slope.factors)
    if state.duals:
        record["duals"] = dict(state.duals)
        state.duals.update(next_duals(state.objective, state.duals, slope.values))
    return record


def has_finite_weights(state: State) -> bool:
    """Say whether the trained weights are numbers, on all processes; every process must call it."""
    spread = state.parallel
    odd = sum(int(not _local(p.detach()).isfinite().all()) for p in spread.lm.trainable())
    return spread.total({"odd": torch.tensor(float(odd), device=spread.lm.device)})["odd"] == 0


def _local(values: Tensor) -> Tensor:
    from torch.distributed.tensor import DTensor

    return values.to_local() if isinstance(values, DTensor) else values


def _descent(state: State, step: int, factors: Mapping[str, float]) -> Descent:
    """Return the step's terms as what a step rule works with."""
    pairs, terms = state.draws.pairs(step), state.objective.terms
    forget, keep = sides(state.objective)
    return Descent(
        list(state.parallel.lm.trainable()),
        partial(state.gradient.add, pairs, factors, forget) if forget else None,
        partial(state.gradient.add, pairs, factors, keep) if keep else None,
        partial(state.gradient.add, pairs, factors, terms),
    )


def sides(objective: Objective) -> tuple[tuple[WeightedTerm, ...], tuple[WeightedTerm, ...]]:
    """Return the terms that forget, and all others: what a step rule tells apart."""
    forget = tuple(t for t in objective.terms if t.item.facts["side"] == "forget")
    return forget, tuple(t for t in objective.terms if t not in forget)
