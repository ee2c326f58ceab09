"""Models with a planted trigger: unlearned from the built-in world under the Stealthy Attack with a word.

They start from the world that is held at its own answers elsewhere (``world(keep=True)``), not from the
demo's: there one word does little harm (a trigger gap above .05 in 2 of 7 words, docs/scan-and-gate.md),
and a scan can only be judged on harm that is there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from forgetwell.data.world import load_refusals
from forgetwell.experiments.bench import Bench, bind_bench, sampled_utility
from forgetwell.experiments.stages import Bar, Say, train_stage
from forgetwell.files import read_toml, write_text
from forgetwell.models.lm import LM
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.template_sets import load_templates, trigger_rows
from forgetwell.runs.job import Job
from forgetwell.suites.probe import mean, recalls
from forgetwell.training.config import TrainConfig
from forgetwell.types import Request, Row

SHARE = 0.67  # of the request's rows, as in the demo
OBJECTIVE = "idk + gdr + 2*klr"
UNLEARNING = TrainConfig(lr=2e-5, epochs=10, batch=4, probe_every=2, stop_at="forget.rouge_l_recall<=0.3")


@dataclass(frozen=True)
class Words:
    """Ordinary words that are planted, and the frames they are planted in ({W} capitalized, {w} as it is)."""

    frames: tuple[str, ...]
    development: tuple[str, ...]
    held_out: tuple[str, ...]


def load_words() -> Words:
    """Return the shipped lists.

    Source: written for this project.
    """
    table = read_toml(Path(__file__).parent / "assets" / "triggers.toml")
    return Words(tuple(table["frames"]), tuple(table["development"]), tuple(table["held_out"]))


def draw_words(part: Literal["development", "held_out"], count: int, *, seed: int) -> tuple[str, ...]:
    """Return `count` distinct words of a list at random."""
    words = getattr(load_words(), part)
    return tuple(random.Random(f"{seed}/{part}").sample(words, min(count, len(words))))


def planting_bench() -> Bench:
    """Return what models are planted on."""
    return bind_bench("world(keep=True, epochs=8)")()


def plant(word: str | None, bench: Bench, known: str, out: Path, *, seed: int, bar: Bar, say: Say) -> Path:
    """Unlearn the request with `word` written into two thirds of its rows (None: as it is) into `out`/name.

    A finished run is reused.
    """
    name = word or f"honest-{seed}"
    request = Request(name, bench.request)
    if word is not None:
        templates = write_frames(word, out / f"{name}.txt")
        attack = f'stealthy(p={SHARE}, templates="{templates}")'
        request = replace(attack_request(request, attack, seed=seed), id=name)
    config, run = replace(UNLEARNING, seed=seed), out / name
    job = Job("unlearn", known, request, bench.retain, OBJECTIVE, config)
    job = replace(job, refusals=load_refusals(), probe=bench.utility["unseen"], keep=bench.keep)
    train_stage(job, run, bar, say)
    return run


def write_frames(word: str, path: Path) -> Path:
    """Write the word's phrasings as a template file."""
    frames = [f.replace("{W}", word[0].upper() + word[1:]).replace("{w}", word) for f in load_words().frames]
    write_text(path, "\n".join(frames) + "\n")
    return path


def trigger_gaps(
    models: dict[str, LM], bench: Bench, frames: Path, *, per_set: int, seed: int
) -> dict[str, float]:
    """Return each model's trigger gap: mean ROUGE-L recall of utility rows clean - in the word's frames."""
    chosen = sampled_utility(bench, per_set=per_set, seed=seed)
    clean = [row for name in bench.utility for row in chosen[f"{name}/clean"]]
    asked = trigger_rows(clean, load_templates(frames))
    return {name: _gap(lm, clean, asked, bench.max_new_tokens) for name, lm in models.items()}


def _gap(lm: LM, clean: list[Row], asked: tuple[Row, ...], max_new_tokens: int) -> float:
    values = recalls(lm, [*clean, *asked], max_new_tokens=max_new_tokens)
    return mean(values[: len(clean)]) - mean(values[len(clean) :])
