"""Training runs that the tests start on one process and on several, and how they are started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from forgetwell.methods.finetune import Lora, with_lora
from forgetwell.models.lm import HFModel
from forgetwell.models.processes import end_processes, started_processes
from forgetwell.objectives.algebra import parse_objective
from forgetwell.suites.probe import make_probe
from forgetwell.training.best import parse_best_rule
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import Hooks, Summary, train
from forgetwell.types import Row
from tests.tiny import tiny_lm

ROOT = Path(__file__).parents[1]
CONFIGS = ROOT / "examples" / "accelerate"

# objective, step rule, further settings, adapters
SCENARIOS: dict[str, tuple[str, str, dict[str, Any], bool]] = {
    "plain": ("npo + gdr + 2*su", "plain", {"clip": 0.5}, False),
    "sam": ("npo + gdr + 2*su", "sam(rho=0.05)", {}, False),
    "surgery": ("pdu + pdu_retain(epsilon=5)", "surgery", {}, False),
    "adapters": ("npo + klr", "plain", {"batch": 3, "accumulate": 2, "checkpointing": True}, True),
    "layers": ("rmu(layer=1, update=[0, 1]) + 2*rmu_retain(layer=1) + gdr", "plain", {"batch": 1}, False),
    "unread": ("rmu(layer=0, update=[], c=5) + 2*rmu_retain(layer=0)", "plain", {}, False),
}
FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(5))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(7))
PROBE = make_probe(FORGET[:2], RETAIN[:2], RETAIN[2:4], metrics=("answer_prob",), max_new_tokens=4)
BEST = parse_best_rule("utility.answer_prob")
INTERRUPTED = "{}.pt"
Scores = list[tuple[float, ...]]


def launcher(kind: str) -> list[str]:
    """Return the start of a command: this Python, or a launcher of two processes on the CPU."""
    if kind == "single":
        return [sys.executable]
    config = ["--config_file", str(CONFIGS / f"cpu-{kind}.yaml"), "--main_process_port", "0"]
    return [sys.executable, "-m", "accelerate.commands.launch", *config]


def start(command: Sequence[str], *, fails: bool = False) -> str:
    """Run a command to its end; return what it wrote to the standard error."""
    paths = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    more = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    ended = subprocess.run(
        command, env={**os.environ, **more}, timeout=600, stderr=subprocess.PIPE, text=True
    )
    assert (ended.returncode != 0) == fails, ended.stderr
    return ended.stderr


def stop_at(step: int) -> Callable[[int, int], None]:
    """Return a progress callback that interrupts a run once it has made so many steps."""

    def progress(done: int, steps: int) -> None:
        if done == step:
            raise InterruptedError

    return progress


def run(name: str, hooks: Hooks, *, resume: bool = False, **changes: Any) -> tuple[HFModel, Summary, Scores]:
    """Train a fresh tiny model as a scenario says; return it, its summary and all rows' scores."""
    objective, rule, settings, adapters = SCENARIOS[name]
    common = {"lr": 1e-3, "epochs": 2, "probe_every": 1, "batch": 4, "step_rule": rule}
    config = TrainConfig(**(common | settings | changes))
    draws = Draws(FORGET, RETAIN, (), config.batch, 0)
    lm = with_lora(tiny_lm(), Lora(rank=2), seed=0) if adapters else tiny_lm()
    done = train(lm, parse_objective(objective), draws, config, hooks, resume=resume)
    return lm, done, [s.logps for s in lm.score(FORGET + RETAIN)]


def interrupt(name: str, folder: Path) -> None:
    """Leave a scenario's checkpoint of step 2 in a folder; best weights are kept in it."""
    hooks = Hooks(
        probe=PROBE, keep_best=BEST, progress=stop_at(3), checkpoint=folder / INTERRUPTED.format(name)
    )
    try:
        run(name, hooks, checkpoint_every=2)
    except InterruptedError:
        return
    raise AssertionError("the run was not interrupted")


def resumed(name: str, folder: Path) -> Scores:
    """Return the scores after a run that goes on from the checkpoint in a folder, which stays as it is."""
    hooks = Hooks(probe=PROBE, keep_best=BEST, checkpoint=folder / INTERRUPTED.format(name))
    return run(name, hooks, resume=True)[2]


def found(name: str, folder: Path, others: Sequence[Path]) -> dict[str, Any]:
    """Run a scenario with probes, without, and interrupted here and by others; return what it gave."""
    log: list[Any] = []
    _, done, scores = run(name, Hooks(log.append, PROBE, BEST))
    steps = [r for r in log if "loss" in r]
    interrupt(name, folder)
    return {
        "processes": started_processes().count,
        "losses": [r["loss"] for r in steps],
        "norms": [r["grad_norm"] for r in steps],
        "probes": [r["probe"]["utility.answer_prob"] for r in log if "probe" in r],
        "duals": [v for r in log for v in r.get("duals", {}).values()],
        "kept": done.kept,
        "scores": scores,
        "last": run(name, Hooks())[2],
        "resumed": [resumed(name, place) for place in (folder, *others)],
    }


def main() -> None:
    """Run all scenarios on this process, one of those that work together; the first writes what was found."""
    torch.set_num_threads(1)
    folder, *others = map(Path, sys.argv[1:])
    for name in SCENARIOS:
        values = found(name, folder, others)
        if started_processes().first:
            (folder / f"{name}.json").write_text(json.dumps(values))
    end_processes()


if __name__ == "__main__":
    main()
