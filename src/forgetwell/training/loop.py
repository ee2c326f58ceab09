"""The one training loop: learning, unlearning and relearning all run here."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from forgetwell.errors import Diverged
from forgetwell.models.allocator import give_back, keeping_memory
from forgetwell.models.hidden import casting_norms, recomputing_layers
from forgetwell.models.lean import lean_layers
from forgetwell.models.lm import HFModel
from forgetwell.objectives.algebra import Objective
from forgetwell.training.best import Best, BestRule
from forgetwell.training.checkpoint import load_checkpoint, save_checkpoint
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.state import State, descend, differentiate, has_finite_weights, prepare
from forgetwell.training.stopping import Probing, check_probed
from forgetwell.training.terms import only_updated
from forgetwell.types import Progress, quiet

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
        kept: The step whose weights the model has: the last, that of the best probe, or of a checkpoint.
        probe: What the last probe measured; nothing without one.
        met: Whether a probe met the best rule's condition; without a rule there is none to meet.
        missed: Whether there is a stop rule that was not reached.
        diverged: Whether a loss or gradient was not finite; `kept` are the last good weights then.
    """

    steps: int
    stopped: str
    seconds: float
    kept: int = 0
    probe: Mapping[str, float] = field(default_factory=dict)
    met: bool = True
    missed: bool = False
    diverged: bool = False


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

    With a best rule (``hooks.keep_best``) `lm` gets the weights of the best probe, if one met its condition.

    Where a loss or gradient isn't finite training has diverged, and it ends: the weights that gave it are no
    use, and `lm` goes back to the last ones that are kept and gave a finite step, the best probe's or else
    the last checkpoint's.

    Raises:
        InputError: Rows are missing or too long, a checkpoint does not fit, or a stop rule has no probe.
        Diverged: Training diverged and no such weights are kept, or the very first step was not finite.
    """
    check_probed(config.stop_at, probed=hooks.probe is not None and config.probe_every > 0)
    with only_updated(lm, objective):
        state = prepare(lm, objective, draws, config, Best(hooks.keep_best) if hooks.keep_best else None)
        with running(state.parallel.lm, config):
            ended = _train(state, hooks, resume)
    state.parallel.gather()
    lm.module.eval()
    kept = state.best.restore(lm.module, ended.kept) if state.best else ended.kept
    met = state.best is None or state.best.step > 0
    return replace(ended, kept=kept, probe=state.probing.values, met=met)


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


def _train(state: State, hooks: Hooks, resume: bool) -> Summary:
    """Take the steps; return how they ended."""
    rule, first = state.probing.rule, _resumed(state, hooks) if resume else 0
    if first == 0:
        _probe(state, hooks, 0)
    started, step = time.monotonic(), first
    # Of a run that broke off after its last step the checkpoint has the weights.
    reached = state.probing.ended(first)
    while step < state.steps and not reached:
        slope = differentiate(state, step)
        if slope is None:
            return _go_back(state, hooks, step, started)
        _checkpoint(state, hooks, step)  # weights are known to be good once they gave a finite gradient
        record = descend(state, slope)
        step += 1
        if step % _TIDY == 0 and state.parallel.lm.device.type == "cpu":
            give_back()
        if state.parallel.processes.first:
            hooks.log(record)
        hooks.progress(step, state.steps)
        reached = state.probing.due(step, state.steps) and _probe(state, hooks, step)
    if not has_finite_weights(state):
        return _go_back(state, hooks, step, started)
    _checkpoint(state, hooks, step)
    missed = rule is not None and not reached
    ending = f"stop rule {rule} reached" if reached else "finished"
    stopped = f"finished: the stop rule {rule} was not reached" if missed else ending
    return Summary(step, stopped, time.monotonic() - started, step, missed=missed)


def _go_back(state: State, hooks: Hooks, step: int, started: float) -> Summary:
    """Go back from the weights of `step`, which are no use, to the last good ones; return how training ended.

    Raises:
        Diverged: None are kept.
    """
    if step == 0:
        raise Diverged("The first step was not finite. Lower the learning rate or check the rows.")
    if state.best is not None and state.best.step == step:
        state.best = Best(state.best.rule)
    kept = state.best.step if state.best is not None else 0
    if kept == 0 and state.saved and hooks.checkpoint is not None:
        # What the last probe measured stays what the log says.
        module, none = state.parallel.lm.module, Probing(0)
        kept = load_checkpoint(hooks.checkpoint, hooks.key, module, state.optimizer, {}, none)
    if kept == 0:
        raise Diverged(
            f"Training diverged: the weights of step {step} give no finite loss and gradient, and no earlier "
            "ones are kept. Lower the learning rate (lr) or clip gradients (clip); weights to go back to are "
            "kept by checkpoints (checkpoint_every) and by a rule for the best probe (keep_best)."
        )
    stopped = f"diverged after step {step}; the weights of step {kept} were kept"
    missed = state.probing.rule is not None
    return Summary(step, stopped, time.monotonic() - started, kept, missed=missed, diverged=True)


def _probe(state: State, hooks: Hooks, step: int) -> bool:
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


def _resumed(state: State, hooks: Hooks) -> int:
    """Go on from the checkpoint, if there is one; return the finished steps."""
    if hooks.checkpoint is not None:
        path, key, module = hooks.checkpoint, hooks.key, state.parallel.lm.module
        state.saved = load_checkpoint(
            path, key, module, state.optimizer, state.duals, state.probing, state.best
        )
    return state.saved


def _checkpoint(state: State, hooks: Hooks, step: int) -> None:
    """Write the checkpoint of a step, where one is due and isn't written yet."""
    every = state.config.checkpoint_every
    if hooks.checkpoint is None or every == 0 or step % every or step in (0, state.saved):
        return
    module, first = state.parallel.lm.module, state.parallel.processes.first
    path, key, probing, best = hooks.checkpoint, hooks.key, state.probing, state.best
    save_checkpoint(path, key, step, module, state.optimizer, state.duals, probing, best, first=first)
    state.saved = step
