"""Hyperparameters of a training run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from forgetwell.errors import InputError

Schedule = Literal["linear", "constant"]


@dataclass(frozen=True)
class TrainConfig:
    """How to train; the defaults are for the 135M default model.

    Attributes:
        lr: Peak learning rate of AdamW.
        epochs: Passes over the forget rows (over the data, when learning).
        batch: Pairs a step, over all processes and micro-batches.
        accumulate: Micro-batches a step is divided into; changes memory, not the result.
        max_steps: Steps at most; 0 = as the epochs say.
        warmup: Share of the steps with rising learning rate.
        schedule: After the warm-up: falling to zero, or constant.
        clip: Largest gradient norm; 0 = no clipping.
        weight_decay: AdamW's decoupled weight decay.
        seed: Of draws.
        probe_every: Steps between probes; 0 = at the start and end alone (if there is a probe).
        stop_at: Stop rule on the probe, as ``forget.rouge_l_recall<=0.3``; "" = none. Where it is about to be
            reached, probes come closer (`forgetwell.training.stopping.Probing`).
        checkpoint_every: Steps between checkpoints; 0 = none.
        step_rule: Which gradient a step descends: ``plain``, ``sam(rho=0.01)``, ``surgery``.
        checkpointing: Recompute layers in the backward pass: less memory, more time, same result.
    """

    lr: float = 2e-5
    epochs: int = 5
    batch: int = 8
    accumulate: int = 1
    max_steps: int = 0
    warmup: float = 0.1
    schedule: Schedule = "linear"
    clip: float = 1.0
    weight_decay: float = 0.01
    seed: int = 0
    probe_every: int = 0
    stop_at: str = ""
    checkpoint_every: int = 0
    step_rule: str = "plain"
    checkpointing: bool = False

    def __post_init__(self) -> None:
        """Refuse values that can't be meant."""
        for name in ("lr", "epochs", "batch", "accumulate"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} is {getattr(self, name)}; it must be above 0.")
        for name in ("max_steps", "clip", "weight_decay", "probe_every", "checkpoint_every"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}; it must be 0 or more.")
        if self.schedule not in get_args(Schedule):
            raise InputError(f"schedule is {self.schedule!r}; choose {' or '.join(get_args(Schedule))}.")
        if not 0 <= self.warmup <= 1:
            raise InputError(f"warmup is {self.warmup}; it is a share between 0 and 1.")

    def steps(self, per_epoch: int) -> int:
        """Return the number of steps."""
        planned = self.epochs * per_epoch
        return min(planned, self.max_steps) if self.max_steps else planned

    def factor(self, step: int, steps: int) -> float:
        """Return the factor on the learning rate at a step (from 0)."""
        rise = round(self.warmup * steps)
        if step < rise:
            return (step + 1) / (rise + 1)
        if self.schedule == "constant":
            return 1.0
        return max(0.0, (steps - step) / max(1, steps - rise))
