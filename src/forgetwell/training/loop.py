"""The one training loop: learning, unlearning and relearning all run here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from forgetwell.calls import parse_call
from forgetwell.errors import Diverged
from forgetwell.models.allocator import give_back, keeping_memory
from forgetwell.models.hidden import casting_norms, recomputing_layers
from forgetwell.models.lean import lean_layers
from forgetwell.models.lm import HFModel
from forgetwell.models.processes import started_processes
from forgetwell.objectives.algebra import Objective
from forgetwell.training.best import Best, BestRule
from forgetwell.training.checkpoint import load_checkpoint, save_checkpoint
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.gradient import Gradient
from forgetwell.training.parallel import Parallel, full, parallel
from forgetwell.training.reference import make_reference
from forgetwell.training.rules import STEP_RULES, Descent, StepRule
from forgetwell.training.step import make_views, read_layers, reference_keys
from forgetwell.training.stopping import Probing, check_probed, parse_stop_rule
from forgetwell.training.terms import next_duals, only_updated, starting_duals, weights
from forgetwell.types import Encoded, Progress, quiet

Probe = Callable[[HFModel, int], Mapping[str, float]]
Log = Callable[[Mapping[str, Any]], None]
_TIDY = 16  # steps on a CPU between which unused memory is kept


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
    progress: Progress = quiet


@dataclass(frozen=True)
class Summary:
    """How training ended.

    Attributes:
        steps: Finished steps.
        stopped: Why it stopped.
        seconds: Time spent.
        kept: The step whose weights the model has: the last, or that of the best probe.
        probe: What the last probe measured; nothing without one.
        met: Whether a probe met the best rule's condition; without a rule there is none to meet.
        missed: Whether there is a stop rule that was not reached.
    """

    steps: int
    stopped: str
    seconds: float
    kept: int = 0
    probe: Mapping[str, float] = field(default_factory=dict)
    met: bool = True
    missed: bool = False


@dataclass
class _State:
    """What the steps of one run share."""

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


def train(
    lm: HFModel,
    objective: Objective,
    draws: Draws,
    config: TrainConfig,
    hooks: Hooks,
    *,
    resume: bool = False,
) -> Summary:
    """Minimize `objective` over `draws`; `lm` is changed in place, on every process.

    With a divergence (a loss or gradient that is not finite) the weights of the step before are kept. With a
    best rule (``hooks.keep_best``) those of the best probe are, if one met its condition.

    Raises:
        InputError: Rows are missing or too long, a checkpoint does not fit, or a stop rule has no probe.
        Diverged: The very first step was not finite.
    """
    check_probed(config.stop_at, probed=hooks.probe is not None and config.probe_every > 0)
    with only_updated(lm, objective):
        state = _prepare(lm, objective, draws, config, Best(hooks.keep_best) if hooks.keep_best else None)
        with running(state.parallel.lm, config):
            step, stopped, seconds = _train(state, hooks, resume)
    state.parallel.gather()
    lm.module.eval()
    kept = state.best.restore(lm.module, step) if state.best else step
    met = state.best is None or state.best.step > 0
    missed = stopped == "finished" and state.probing.rule is not None
    if missed:
        stopped = f"finished: the stop rule {state.probing.rule} was not reached"
    return Summary(step, stopped, seconds, kept, state.probing.values, met, missed)


@contextlib.contextmanager
def running(lm: HFModel, config: TrainConfig) -> Iterator[None]:
    """Run steps as fast as they go, or with less memory (`config.checkpointing`), for the time inside."""
    decoder = lm.module.decoder
    with (
        recomputing_layers(decoder, active=config.checkpointing),
        lean_layers(decoder, active=not config.checkpointing),
        casting_norms(decoder, lm.compute),
        keeping_memory(active=lm.device.type == "cpu"),
    ):
        yield


def _train(state: _State, hooks: Hooks, resume: bool) -> tuple[int, str, float]:
    """Take the steps; return how many there are now, why they ended, and the seconds spent."""
    config = state.config
    first = _resumed(state, hooks) if resume else 0
    if first == 0:
        _probe(state, hooks, 0)
    reached = f"stop rule {state.probing.rule} reached"
    started, stopped, step = time.monotonic(), "finished", first
    if state.probing.ended(first):  # a run that broke off after its last step: the checkpoint has its weights
        stopped = reached
    while step < state.steps and stopped == "finished":
        record = _step(state, step)
        if record is None:
            stopped = f"diverged at step {step + 1}; the weights of step {step} were kept"
            break
        step += 1
        if step % _TIDY == 0 and state.parallel.lm.device.type == "cpu":
            give_back()
        if state.parallel.processes.first:
            hooks.log(record)
        hooks.progress(step, state.steps)
        if state.probing.due(step, state.steps) and _probe(state, hooks, step):
            stopped = reached
        if config.checkpoint_every and step % config.checkpoint_every == 0:
            _checkpoint(state, hooks, step)
    if step == 0 and stopped.startswith("diverged"):
        raise Diverged("The first step was not finite. Lower the learning rate or check the rows.")
    return step, stopped, time.monotonic() - started


def _prepare(
    lm: HFModel, objective: Objective, draws: Draws, config: TrainConfig, best: Best | None
) -> _State:
    steps = config.steps(draws.steps_per_epoch)
    item, settings = STEP_RULES.resolve(parse_call(config.step_rule))
    # Dropout would make the loss depend on batching, and the reference has none: models stay in eval.
    lm.module.eval()
    reference = make_reference(
        lm,
        _reference_rows(lm, objective, draws, steps),
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
    return _State(spread, optimizer, objective, draws, config, gradient, rule, steps, duals, probing, best)


def _reference_rows(lm: HFModel, objective: Objective, draws: Draws, steps: int) -> list[Encoded]:
    """Return every row on which some term will ask this process for the starting model."""
    wanted = reference_keys(objective)
    rows: list[Encoded] = []
    processes = started_processes()
    for step in range(steps if wanted else 0):
        pairs = draws.pairs(step)
        mine = pairs[processes.index :: processes.count] or pairs[:1]
        made = make_views(wanted, mine, lm.codec)
        rows.extend(r for v in made.values() for r in v.rows)
    return rows


def _step(state: _State, step: int) -> dict[str, Any] | None:
    """Take one optimizer step; return its record, or None (and change nothing) if it is not finite."""
    started, config = time.monotonic(), state.config
    factors = weights(state.objective, state.duals, (step + 1) / state.steps)
    values = state.rule(_descent(state, step, factors))
    loss = sum(factors[label] * value for label, value in values.items())
    parameters = state.parallel.lm.trainable()
    norm = float(full(nn.utils.clip_grad_norm_(parameters, config.clip or float("inf"))))
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
    record = {
        "step": step + 1,
        "loss": loss,
        "terms": values,
        "lr": lr,
        "grad_norm": norm,
        "seconds": seconds,
    }
    if any(t.schedule for t in state.objective.terms):
        record["weights"] = factors
    if state.duals:
        record["duals"] = dict(state.duals)
        state.duals.update(next_duals(state.objective, state.duals, values))
    return record


def _descent(state: _State, step: int, factors: Mapping[str, float]) -> Descent:
    """Return the step's terms as what a step rule works with."""
    pairs, terms = state.draws.pairs(step), state.objective.terms
    forget = tuple(t for t in terms if t.item.facts["side"] == "forget")
    keep = tuple(t for t in terms if t not in forget)
    return Descent(
        list(state.parallel.lm.trainable()),
        partial(state.gradient.add, pairs, factors, forget) if forget else None,
        partial(state.gradient.add, pairs, factors, keep) if keep else None,
        partial(state.gradient.add, pairs, factors, terms),
    )


def _probe(state: _State, hooks: Hooks, step: int) -> bool:
    """Measure and log the model; say whether the stop rule is reached."""
    if hooks.probe is None:
        return False
    lm = state.parallel.gather()
    # All processes must stop at the same step and keep the same weights: the first one's values count.
    values = state.parallel.processes.same(dict(hooks.probe(lm, step)))
    if state.best is not None:
        state.best.consider(step, values, lm.module)
    state.parallel.leave()
    if state.parallel.processes.first:
        hooks.log({"step": step, "probe": values})
    return state.probing.measured(step, values)


def _resumed(state: _State, hooks: Hooks) -> int:
    """Go on from the checkpoint, if there is one; return the finished steps."""
    if hooks.checkpoint is None:
        return 0
    path, key, module = hooks.checkpoint, hooks.key, state.parallel.lm.module
    return load_checkpoint(path, key, module, state.optimizer, state.duals, state.probing, state.best)


def _checkpoint(state: _State, hooks: Hooks, step: int) -> None:
    if hooks.checkpoint is None:
        return
    module, first = state.parallel.lm.module, state.parallel.processes.first
    path, key, probing, best = hooks.checkpoint, hooks.key, state.probing, state.best
    save_checkpoint(path, key, step, module, state.optimizer, state.duals, probing, best, first=first)
