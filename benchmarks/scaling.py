"""How the time of unlearning grows with forget rows, tokens and parameters: ours against the plain loop.

    OMP_NUM_THREADS=1 python -m benchmarks.scaling --out results/scaling.json

`npo + gdr` on made-up rows with random-weight Llamas (the default model's tokenizer and shapes alike, several
sizes). At each point both sides run after one another, on the same rows. Time is the processor's, so that
other work on the machine doesn't count. A fit is `seconds = a + b x` by least squares; R² says how much of
the spread it explains.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from time import process_time

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from benchmarks.shared import SIDES, command_line, view_rows, write_report
from forgetwell.data.encoding import Codec
from forgetwell.models.hardware import pick_device, pick_dtype
from forgetwell.models.lm import HFModel, wrap
from forgetwell.models.loading import find_model
from forgetwell.objectives.algebra import parse_objective
from forgetwell.training.draws import Draws
from forgetwell.types import Row

ROWS = (16, 32, 64, 128)
WORDS = (8, 32, 64, 96, 128)
SIZES = ((4, 256), (8, 384), (12, 512), (16, 576), (20, 640))  # layers, width
MIDDLE = SIZES[1]
OBJECTIVE = parse_objective("npo + gdr")
MakeModel = Callable[[int, int], HFModel]
Point = tuple[float, dict[str, float]]  # x, seconds of each side


@dataclass(frozen=True)
class Fit:
    """A line through measured points; the slope is in seconds a unit of x."""

    seconds: tuple[float, ...]
    intercept: float
    slope: float
    r2: float


@dataclass(frozen=True)
class Growth:
    """How the seconds of both sides grow; ratios are plain over ours."""

    of: str
    x: tuple[float, ...]
    fits: dict[str, Fit]
    ratios: tuple[float, ...]
    ratio_of_slopes: float


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = command_line(__doc__)
    parser.add_argument("--dtype", default="auto", help="compute type: auto, float32 or bfloat16")
    parser.add_argument("--steps", type=int, default=3, help="counted steps a point, after one to warm up")
    parser.add_argument("--points", type=int, default=5, help="points a line at most, the smallest first")
    options = parser.parse_args()
    make = partial(random_llama, dtype=options.dtype)
    few = slice(options.points)
    measured = {
        "forget rows, one epoch": by_rows(make, ROWS[few]),
        "tokens of a step": by_tokens(make, WORDS[few], options.steps),
        "parameters in millions, a step": by_parameters(make, SIZES[few], options.steps),
    }
    found = []
    for of, points in measured.items():
        found.append(growth(of, points))
        print(table(found[-1]), flush=True)
    write_report(options.out, {"growth": [asdict(g) for g in found]})


def growth(of: str, points: Iterator[Point]) -> Growth:
    """Take the points, and return each side's line and their ratios."""
    x, seconds = zip(*points, strict=True)
    fits = {side: fit(x, tuple(s[side] for s in seconds)) for side in SIDES}
    ours, plain = fits["ours"], fits["plain"]
    ratios = tuple(p / o for o, p in zip(ours.seconds, plain.seconds, strict=True))
    return Growth(of, x, fits, ratios, plain.slope / ours.slope)


def fit(x: Sequence[float], seconds: tuple[float, ...]) -> Fit:
    """Return the line of least squares through (x, seconds)."""
    slope, intercept = np.polyfit(x, seconds, 1)
    left = np.asarray(seconds) - (intercept + slope * np.asarray(x))
    spread = np.asarray(seconds) - np.mean(seconds)
    return Fit(seconds, float(intercept), float(slope), float(1 - (left @ left) / (spread @ spread)))


def table(found: Growth) -> str:
    """Return the lines and points as text."""
    lines = [f"{found.of}: {'  '.join(f'{x:.4g}' for x in found.x)}"]
    for side, f in found.fits.items():
        points = "  ".join(f"{s:.3g}" for s in f.seconds)
        lines.append(f"  {side:6} {points} s: {f.intercept:.3g} s + {f.slope:.3g} s x, R² {f.r2:.4f}")
    ratios = "  ".join(f"{r:.2f}" for r in found.ratios)
    return "\n".join([*lines, f"  plain / ours: {ratios}; of the slopes {found.ratio_of_slopes:.2f}"])


def by_rows(make: MakeModel, counts: Sequence[int]) -> Iterator[Point]:
    """Give (forget rows, seconds of an epoch of batch 8 with what has to be done before it)."""
    for count in counts:
        draws = Draws(rows("f", count, 24), rows("r", count, 24), (), 8, 0)
        seconds = {}
        for side, run in SIDES.items():
            lm = make(*MIDDLE)
            started = process_time()
            for _ in run(lm, OBJECTIVE, draws, draws.steps_per_epoch):
                pass
            seconds[side] = process_time() - started
        yield count, seconds


def by_tokens(make: MakeModel, lengths: Sequence[int], steps: int) -> Iterator[Point]:
    """Give (tokens of a step's rows, its seconds)."""
    for words in lengths:
        yield step_seconds(partial(make, *MIDDLE), words, steps)


def by_parameters(make: MakeModel, sizes: Sequence[tuple[int, int]], steps: int) -> Iterator[Point]:
    """Give (millions of parameters, seconds of a step on the same rows)."""
    for size in sizes:
        millions = sum(p.numel() for p in make(*size).module.parameters()) / 1e6
        yield round(millions, 2), step_seconds(partial(make, *size), 24, steps)[1]


def step_seconds(make: Callable[[], HFModel], words: int, steps: int) -> Point:
    """Return the tokens in the rows of a step, 4 to forget and 4 to keep, and its median seconds."""
    count = 4 * (steps + 1)
    draws = Draws(rows("f", count, words), rows("r", count, words), (), 4, 0)
    lm = make()
    views = [view_rows(lm, OBJECTIVE, draws, k) for k in range(1, steps + 1)]
    tokens = [sum(len(r.ids) for view in v.values() for r in view) for v in views]
    taken = {side: timed(run(make(), OBJECTIVE, draws, steps + 1)) for side, run in SIDES.items()}
    return statistics.median(tokens), {side: statistics.median(s[1:]) for side, s in taken.items()}


def timed(steps: Iterator[None]) -> list[float]:
    """Take all steps; return the seconds of each."""
    seconds = []
    started = process_time()
    for _ in steps:
        seconds.append(process_time() - started)
        started = process_time()
    return seconds


def rows(name: str, count: int, words: int) -> tuple[Row, ...]:
    """Return rows whose answers have `words` words, no two alike."""
    pool = ("river", "stone", "lamp", "garden", "winter", "copper", "letter", "harbor", "violin", "market")
    stream = random.Random(f"{name}/{words}")
    texts = [" ".join(stream.choices(pool, k=words)) for _ in range(count)]
    return tuple(Row(f"{name}{i}", f"What is written in {name} {i}?", text) for i, text in enumerate(texts))


def random_llama(layers: int, width: int, *, dtype: str) -> HFModel:
    """Return a Llama of this size with random weights and the default model's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(str(find_model("smollm2").folder))
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=8 * width // 3,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        tie_word_embeddings=True,
    )
    network = LlamaForCausalLM(config).to(pick_device())
    name = f"{layers}x{width}"
    return wrap(network, Codec(tokenizer, 1024), name, name, pick_dtype(dtype).compute)


if __name__ == "__main__":
    main()
