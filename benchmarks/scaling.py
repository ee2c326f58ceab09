"""How the time of unlearning grows with forget rows, tokens and parameters, with linear fits.

    OMP_NUM_THREADS=1 python benchmarks/scaling.py --out results/scaling.json

`npo + gdr` on made-up rows with random-weight Llamas (the default model's tokenizer and shapes alike, several
sizes). Time is the processor's, so that other work on the machine doesn't count. A fit is `seconds = a + b x`
by least squares; R² says how much of the spread it explains.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROWS = (16, 32, 64, 128)
WORDS = (8, 32, 64, 96, 128)
SIZES = ((4, 256), (8, 384), (12, 512), (16, 576), (20, 640))  # layers, width
MIDDLE = SIZES[1]


@dataclass(frozen=True)
class Fit:
    """Measured points and the line through them; `slope` is in seconds a unit of `of`."""

    of: str
    x: tuple[float, ...]
    seconds: tuple[float, ...]
    intercept: float
    slope: float
    r2: float


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--dtype", default="auto", help="compute type: auto, float32 or bfloat16")
    parser.add_argument("--steps", type=int, default=3, help="counted steps a point, after one to warm up")
    options = parser.parse_args()
    found = [
        fit("forget rows, one epoch", by_rows(options.dtype)),
        fit("tokens a step", by_tokens(options.dtype, options.steps)),
        fit("parameters, in millions, a step", by_parameters(options.dtype, options.steps)),
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    facts = {
        "command": f"python {' '.join(sys.argv)}",
        "processor": platform.processor() or platform.machine(),
    }
    options.out.write_text(json.dumps({**facts, "fits": [asdict(f) for f in found]}, indent=1) + "\n")
    for f in found:
        points = ", ".join(f"{x:.4g}: {s:.3g}" for x, s in zip(f.x, f.seconds, strict=True))
        print(f"{f.of}: {f.intercept:.3g} s + {f.slope:.3g} s x, R² {f.r2:.4f} ({points})")


def fit(of: str, points: Iterator[tuple[float, float]]) -> Fit:
    """Return the line of least squares through (x, seconds)."""
    import numpy as np

    x, seconds = map(tuple, zip(*points, strict=True))
    slope, intercept = np.polyfit(x, seconds, 1)
    left = np.asarray(seconds) - (intercept + slope * np.asarray(x))
    spread = np.asarray(seconds) - np.mean(seconds)
    return Fit(of, x, seconds, float(intercept), float(slope), float(1 - (left @ left) / (spread @ spread)))


def by_rows(dtype: str) -> Iterator[tuple[float, float]]:
    """Give (forget rows, seconds of a run of one epoch, the starting model's values included)."""
    from forgetwell.objectives.algebra import parse_objective
    from forgetwell.training.config import TrainConfig
    from forgetwell.training.draws import Draws
    from forgetwell.training.loop import Hooks, train

    for count in ROWS:
        lm = random_llama(*MIDDLE, dtype)
        draws = Draws(rows("f", count, 24), rows("r", count, 24), (), 8, 0)
        started = time.process_time()
        train(lm, parse_objective("npo + gdr"), draws, TrainConfig(lr=1e-5, epochs=1), Hooks())
        yield count, time.process_time() - started


def by_tokens(dtype: str, steps: int) -> Iterator[tuple[float, float]]:
    """Give (tokens computed in a step, its seconds)."""
    for words in WORDS:
        yield step_seconds(random_llama(*MIDDLE, dtype), words, steps)


def by_parameters(dtype: str, steps: int) -> Iterator[tuple[float, float]]:
    """Give (millions of parameters, seconds of a step on the same rows)."""
    for layers, width in SIZES:
        lm = random_llama(layers, width, dtype)
        millions = sum(p.numel() for p in lm.module.parameters()) / 1e6
        yield round(millions, 2), step_seconds(lm, 24, steps)[1]


def step_seconds(lm, words: int, steps: int) -> tuple[float, float]:
    """Return the tokens that a step of 4 forget and 4 retain rows computes, and its median seconds."""
    from forgetwell.objectives.algebra import parse_objective
    from forgetwell.training import loop
    from forgetwell.training.config import TrainConfig
    from forgetwell.training.draws import Draws
    from forgetwell.training.step import make_views, view_keys

    objective, config = parse_objective("npo + gdr"), TrainConfig(lr=1e-5, batch=4, max_steps=steps + 1)
    draws = Draws(rows("f", 4 * (steps + 1), words), rows("r", 4 * (steps + 1), words), (), 4, 0)
    state = loop._prepare(lm, objective, draws, config, None)
    tokens, seconds = [], []
    with loop.running(lm, config):
        for k in range(steps + 1):
            views = make_views(view_keys(objective), draws.pairs(k), lm.codec)
            started = time.process_time()
            loop._step(state, k)
            seconds.append(time.process_time() - started)
            tokens.append(lm.batch([r for v in views.values() for r in v.rows]).ids.numel())
    return statistics.median(tokens[1:]), statistics.median(seconds[1:])


def rows(name: str, count: int, words: int) -> Sequence:
    """Return rows whose answers have `words` words, no two alike."""
    import random

    from forgetwell.types import Row

    pool = ("river", "stone", "lamp", "garden", "winter", "copper", "letter", "harbor", "violin", "market")
    stream = random.Random(f"{name}/{words}")
    texts = [" ".join(stream.choices(pool, k=words)) for _ in range(count)]
    return tuple(Row(f"{name}{i}", f"What is written in {name} {i}?", text) for i, text in enumerate(texts))


def random_llama(layers: int, width: int, dtype: str):
    """Return a Llama of this size with random weights and the default model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from forgetwell.data.encoding import Codec
    from forgetwell.models.hardware import pick_device, pick_dtype
    from forgetwell.models.lm import wrap
    from forgetwell.models.loading import find_model

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
