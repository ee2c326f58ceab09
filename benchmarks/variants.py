"""A training step made in other ways than the loop's, step by step against it.

    python -m benchmarks.variants --out results/variants.json

`autograd` keeps what autograd keeps of norms and MLPs, as the loop did before `models/lean.py`. Two that were
tried and are not taken: `masters` keeps the layers' matrices in bfloat16 over steps, and AdamW moves float32
masters of them, where the loop keeps float32 weights that autocast casts in each forward. `compiled` runs
norms and MLPs through torch.compile; its first steps (where it compiles) are reported alone. Each trains a
model of its own, default model, `npo + gdr`; in every step it takes its turn with the loop on the same draws
in one process, so that what the machine does besides falls on both. A ratio is the median over steps of its
seconds over the loop's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from benchmarks.shared import LR, command_line, one_step, our_steps, write_report
from forgetwell.experiments.bench import bind_bench
from forgetwell.models.allocator import keeping_memory
from forgetwell.models.hidden import casting_norms, decoder_layers
from forgetwell.models.lm import HFModel, load
from forgetwell.objectives.algebra import Objective, parse_objective
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import running
from forgetwell.training.state import _descent, prepare
from forgetwell.training.terms import weights

Steps = Callable[[HFModel, Objective, Draws, int], Iterator[float]]
OBJECTIVE = parse_objective("npo + gdr")
WARM = 4


@dataclass(frozen=True)
class Compared:
    """A variant against the loop: ratio of seconds (range: half of the steps), and what it needed first."""

    variant: str
    ratio: float
    half: tuple[float, float]
    loop_seconds: float
    first_steps_seconds: float
    loop_first_steps_seconds: float
    largest_loss_difference: float


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = command_line(__doc__)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--only", choices=VARIANTS, nargs="+", default=tuple(VARIANTS))
    options = parser.parse_args()
    found = [compared(name, VARIANTS[name], options.steps, options.batch) for name in options.only]
    write_report(options.out, {"variants": [asdict(f) for f in found]})
    for f in found:
        print(f"{f.variant:10} {f.ratio:.2f} [{f.half[0]:.2f}, {f.half[1]:.2f}] of the loop's time")


def compared(variant: str, steps: Steps, count: int, batch: int) -> Compared:
    """Take turns, first one and then the other."""
    bench = bind_bench("world")()
    draws = Draws(bench.request, bench.retain, (), batch, 0)
    sides = {
        "loop": our_steps(load("smollm2"), OBJECTIVE, draws, count),
        variant: steps(load("smollm2"), OBJECTIVE, draws, count),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    losses: dict[str, list[float]] = {name: [] for name in sides}
    for k in range(count):
        for name in sorted(sides, reverse=k % 2 == 0):
            started = time.perf_counter()
            losses[name].append(next(sides[name]))
            seconds[name].append(time.perf_counter() - started)
    ratios = [a / b for a, b in zip(seconds[variant][WARM:], seconds["loop"][WARM:], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Compared(
        variant,
        middle,
        (low, high),
        statistics.median(seconds["loop"][WARM:]),
        sum(seconds[variant][:WARM]),
        sum(seconds["loop"][:WARM]),
        max(abs(a - b) for a, b in zip(losses[variant], losses["loop"], strict=True)),
    )


def autograd_steps(lm: HFModel, objective: Objective, draws: Draws, steps: int) -> Iterator[float]:
    """Train as the loop does, with norms and MLPs as transformers has them."""
    config = TrainConfig(lr=LR, batch=draws.batch, epochs=steps, max_steps=steps)
    state = prepare(lm, objective, draws, config, None)
    with casting_norms(lm.module.decoder, lm.compute), keeping_memory():
        for k in range(steps):
            yield one_step(state, k)


def compiled_steps(lm: HFModel, objective: Objective, draws: Draws, steps: int) -> Iterator[float]:
    """Train as the loop does, with norms and MLPs compiled."""
    for layer in decoder_layers(lm.module.decoder):
        for name, part in layer.named_children():
            if name == "mlp" or type(part).__name__.endswith("Norm"):
                part.forward = torch.compile(part.forward, dynamic=True)
    yield from our_steps(lm, objective, draws, steps)


@dataclass(frozen=True)
class _Slot:
    """A parameter with its float32 master (itself, where it stays float32) and AdamW's state."""

    parameter: nn.Parameter
    master: Tensor
    mean: Tensor
    square: Tensor
    step: Tensor


def master_steps(lm: HFModel, objective: Objective, draws: Draws, steps: int) -> Iterator[float]:
    """Train with bfloat16 matrices: gradients stay bfloat16 until AdamW reads them, tensor by tensor."""
    config = TrainConfig(lr=LR, batch=draws.batch, epochs=steps, max_steps=steps)
    state = prepare(lm, objective, draws, config, None)
    matrices = {
        m.weight
        for layer in decoder_layers(lm.module.decoder)
        for m in layer.modules()
        if isinstance(m, nn.Linear)
    }
    slots = [_slot(p, lm.compute if p in matrices else torch.float32) for p in lm.trainable()]
    with running(lm, config):
        for k in range(steps):
            factors = weights(objective, state.duals, (k + 1) / steps)
            values = state.rule(_descent(state, k, factors))
            _descend(slots, config.lr * config.factor(k, steps), config)
            yield sum(factors[label] * value for label, value in values.items())


def _slot(parameter: nn.Parameter, dtype: torch.dtype) -> _Slot:
    master = parameter.data
    parameter.data = master.to(dtype)
    return _Slot(parameter, master, torch.zeros_like(master), torch.zeros_like(master), torch.zeros(()))


@torch.no_grad()
def _descend(slots: list[_Slot], lr: float, config: TrainConfig) -> None:
    norms = [torch.linalg.vector_norm(s.parameter.grad, dtype=torch.float32) for s in slots]
    factor = min(1.0, config.clip / (float(torch.stack(norms).norm()) + 1e-6))
    for s in slots:
        gradient = s.parameter.grad.to(s.master.dtype).mul_(factor)
        adamw(
            [s.master], [gradient], [s.mean], [s.square], [], [s.step], fused=True, amsgrad=False,
            beta1=0.9, beta2=0.999, lr=lr, weight_decay=config.weight_decay, eps=1e-8, maximize=False,
        )  # fmt: skip
        if s.parameter.dtype != s.master.dtype:
            s.parameter.copy_(s.master)
        s.parameter.grad = None


VARIANTS: dict[str, Steps] = {"autograd": autograd_steps, "masters": master_steps, "compiled": compiled_steps}

if __name__ == "__main__":
    main()
