"""Speed and memory of a training step, ours against a plain one, as ratios in one run.

    python -m benchmarks.training --out results/training-benchmark.json

Every measurement runs in a process of its own, alternating between the two, on the same rows and seeds:
the default model, `npo + gdr` (and `+ 5*su`), AdamW, at the compute type that this processor multiplies in.
FLOPs executed are 6 x body parameters x tokens + 6 x head parameters x scored tokens (8 where the backward
pass makes the head's logits again) + 12 x layers x hidden x attended pairs; their share is of the rate of
the layers' own matrix products, forward and backward, measured in the same process, each repeated until its
operands lie in the caches. `gemm_rate_once` is the rate of the same products as a step takes them, once each
over all layers: a loop of nothing else would have that share. On a busy machine take one thread and
`--clock processor`: time that others had is then not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from benchmarks.shared import CLOCKS, SIDES, command_line, view_rows, write_report
from forgetwell.experiments.bench import bind_bench
from forgetwell.models.lm import load
from forgetwell.models.windows import windows_of
from forgetwell.objectives.algebra import parse_objective
from forgetwell.training.draws import Draws

WARM = 2


@dataclass(frozen=True)
class Measured:
    """One worker's figures; seconds are medians over steps, memory is in GB."""

    who: str
    objective: str
    seconds: float
    rows_per_second: float
    tokens: int
    scored: int
    teraflops: float
    gemm_rate: float
    gemm_rate_once: float
    share: float
    peak: float
    peak_above_state: float


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = command_line(__doc__)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--bench", default="world", help="world or tofu")
    parser.add_argument("--clock", default="wall", choices=list(CLOCKS), help="processor: on a busy machine")
    parser.add_argument("--worker", nargs=2, metavar=("WHO", "OBJECTIVE"))
    options = parser.parse_args()
    if options.worker:
        who, objective = options.worker
        print(json.dumps(asdict(measure(who, objective, options))))
        return
    found = [
        run_worker(who, objective, options)
        for _ in range(options.repeats)
        for objective in ("npo + gdr", "npo + gdr + 5*su")
        for who in SIDES
    ]
    report = summary(found)
    write_report(options.out, {"summary": report, "runs": found})
    for key, value in report.items():
        print(f"{key:48} {value:8.3f}")


def run_worker(who: str, objective: str, options: argparse.Namespace) -> dict[str, float | str]:
    flags = [f"--{k}={getattr(options, k)}" for k in ("out", "steps", "batch", "bench", "clock")]
    command = [sys.executable, "-m", "benchmarks.training", *flags, "--worker", who, objective]
    line = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
    print(line, flush=True)
    return json.loads(line)


def summary(found: list[dict]) -> dict[str, float]:
    """Return the figures that targets are set on; medians over repeats."""

    def median(who: str, objective: str, key: str) -> float:
        return statistics.median(m[key] for m in found if (m["who"], m["objective"]) == (who, objective))

    plain, scoped = "npo + gdr", "npo + gdr + 5*su"
    return {
        "rows/s, ours": median("ours", plain, "rows_per_second"),
        "rows/s, ours / plain, npo + gdr": median("ours", plain, "rows_per_second")
        / median("plain", plain, "rows_per_second"),
        "rows/s, ours / plain, with su": median("ours", scoped, "rows_per_second")
        / median("plain", scoped, "rows_per_second"),
        "share of the GEMM rate, ours": median("ours", plain, "share"),
        "share of the GEMM rate, plain": median("plain", plain, "share"),
        "rate of products taken once / GEMM rate": median("ours", plain, "gemm_rate_once")
        / median("ours", plain, "gemm_rate"),
        "time with su / without, ours": median("ours", scoped, "seconds") / median("ours", plain, "seconds"),
        "time with su / without, plain": median("plain", scoped, "seconds")
        / median("plain", plain, "seconds"),
        "peak memory GB, ours": median("ours", plain, "peak"),
        "peak memory GB, plain": median("plain", plain, "peak"),
        "memory above state, ours / plain": median("ours", plain, "peak_above_state")
        / median("plain", plain, "peak_above_state"),
    }


def measure(who: str, objective: str, options: argparse.Namespace) -> Measured:
    """Take steps one way or the other; state = weights, gradients and both moments in float32."""
    bench = bind_bench(options.bench)()
    lm = load("smollm2")
    idle = _memory()
    draws = Draws(bench.request, bench.retain, (), options.batch, 0)
    run = SIDES[who](lm, parse_objective(objective), draws, options.steps)
    clock = CLOCKS[options.clock]
    seconds, work = [], []
    for k in range(options.steps):
        started = clock()
        next(run)  # the first also prepares; it is not counted
        seconds.append(clock() - started)
        work.append(executed(who, lm, parse_objective(objective), draws, k))
    parameters = sum(p.numel() for p in lm.module.parameters())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    taken = statistics.median(seconds[WARM:])
    flops = statistics.median(w[2] for w in work[WARM:])
    width = statistics.median_low([w[0] for w in work])
    rate, once = gemm_rate(lm, width, clock), gemm_rate_once(lm, width, clock)
    rows = 2 * options.batch
    above = peak - idle - 12 * parameters / 1e9  # the weights are in `idle` already
    return Measured(
        who, objective, taken, rows / taken, work[-1][0], work[-1][1], flops / 1e12, rate / 1e9, once / 1e9,
        flops / taken / rate, peak, above,
    )  # fmt: skip


def executed(who, lm, objective, draws, k) -> tuple[int, int, float]:
    """Return tokens, scored tokens and FLOPs of a step, padding included."""
    views = view_rows(lm, objective, draws, k)
    config = lm.module.network.config
    head = config.vocab_size * config.hidden_size
    body = sum(p.numel() for p in lm.module.network.get_decoder().parameters()) - head
    tied = 12 * config.num_hidden_layers * config.hidden_size
    if who == "ours":
        batch = lm.batch([r for rows in views.values() for r in rows])
        tokens, scored, windows = batch.ids.numel(), len(batch.labels), windows_of(batch.mask)
        pairs = windows.pairs if windows else batch.mask.numel()
        return tokens, scored, 6 * body * tokens + 8 * head * scored + tied * pairs
    total, heads, pairs, scored = 0.0, 0.0, 0.0, 0
    for name, rows in views.items():
        width = max(len(r.ids) for r in rows)
        passes = 8 / 6 if name == "forget" else 1  # the frozen model's forward
        total += len(rows) * width * passes
        heads += len(rows) * width * passes
        pairs += len(rows) * width * width * passes
        scored += sum(len(r.ids) - r.start for r in rows)
    return round(total), scored, 6 * body * total + 6 * head * heads + tied * pairs


def gemm_rate(lm, tokens: int, clock) -> float:
    """Return FLOP/s of the layers' own matrix products, forward and both backward ones, on `tokens` rows."""
    flops, taken = 0.0, 0.0
    for x, w, g in _operands(lm, tokens, layers=1):
        for product in (lambda x=x, w=w: x @ w.T, lambda g=g, w=w: g @ w, lambda g=g, x=x: g.T @ x):
            product()
            started = clock()
            for _ in range(10):
                product()
            taken += (clock() - started) / 10
            flops += 2 * tokens * w.numel()
    return flops / taken


def gemm_rate_once(lm, tokens: int, clock) -> float:
    """Return FLOP/s of the same products over all layers, forwards and then backwards, each taken once."""
    operands = _operands(lm, tokens, layers=lm.module.network.config.num_hidden_layers)
    taken = []
    for _ in range(3):
        started = clock()
        results = [x @ w.T for x, w, _ in operands]
        for x, w, g in reversed(operands):
            results += [g @ w, g.T @ x]
        taken.append(clock() - started)
    return 6 * tokens * sum(w.numel() for _, w, _ in operands) / statistics.median(taken)


def _operands(lm, tokens: int, layers: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return input, weight and output's gradient of each matrix of the first layers, in the compute type."""
    return [
        (torch.randn(tokens, m.in_features).to(lm.compute), m.weight.detach().to(lm.compute),
         torch.randn(tokens, m.out_features).to(lm.compute))
        for layer in lm.module.network.get_decoder().layers[:layers]
        for m in layer.modules()
        if isinstance(m, torch.nn.Linear)
    ]  # fmt: skip


def _memory() -> float:
    with open("/proc/self/status") as status:
        kb = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return kb / 1e6


if __name__ == "__main__":
    main()
