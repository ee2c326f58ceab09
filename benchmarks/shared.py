"""What the benchmarks share: their command line, their report, and training steps of both sides."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.plain import make_plain, plain_loss
from forgetwell.files import write_json
from forgetwell.models.lm import HFModel
from forgetwell.objectives.algebra import Objective
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import running
from forgetwell.training.state import State, descend, differentiate, prepare
from forgetwell.training.step import make_views, view_keys
from forgetwell.types import Encoded

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
LR = 1e-5


def command_line(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser that prints a module's docstring as it stands and asks for the report's file."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the report")
    return parser


def write_report(path: Path, report: Mapping[str, Any]) -> None:
    """Write a report, with the command and the machine that made it."""
    facts = {
        "command": f"python -m {__package__}.{Path(sys.argv[0]).stem} {' '.join(sys.argv[1:])}",
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    write_json(path, {**facts, **report})


def our_steps(lm: HFModel, objective: Objective, draws: Draws, steps: int) -> Iterator[float]:
    """Train, giving each step's loss; the first step also loads the starting model's values."""
    config = TrainConfig(lr=LR, batch=draws.batch, epochs=steps, max_steps=steps)
    state = prepare(lm, objective, draws, config, None)
    with running(lm, config):
        for k in range(steps):
            yield one_step(state, k)


def one_step(state: State, step: int) -> float:
    """Take a step; return its loss."""
    slope = differentiate(state, step)
    if slope is None:
        sys.exit(f"Step {step + 1} is not finite.")
    return descend(state, slope)["loss"]


def plain_steps(lm: HFModel, objective: Objective, draws: Draws, steps: int) -> Iterator[float]:
    """Train by the plain loop, on the same rows; the first step also copies the model."""
    plain = make_plain(lm.module.network, lm.compute)
    optimizer = torch.optim.AdamW(plain.network.parameters(), LR, weight_decay=0.01)
    for k in range(steps):
        rows = view_rows(lm, objective, draws, k)
        loss = plain_loss(plain, rows["forget"], rows["retain"], rows.get("scope", ()))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        yield float(loss.detach())


SIDES = {"ours": our_steps, "plain": plain_steps}


def view_rows(lm: HFModel, objective: Objective, draws: Draws, step: int) -> dict[str, tuple[Encoded, ...]]:
    """Return the rows of a step by the name of their view."""
    made = make_views(view_keys(objective), draws.pairs(step), lm.codec)
    return {key.name: view.rows for key, view in made.items()}
