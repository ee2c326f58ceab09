"""Two processes give the result of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, os, sys, torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
from forgetwell.objectives.algebra import parse_objective
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.suites.probe import make_probe
from forgetwell.training.best import parse_best_rule
from forgetwell.training.loop import Hooks, train
from forgetwell.types import Row
from tests.tiny import tiny_lm
lm = tiny_lm()
forget = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(5))
retain = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(7))
log = []
probe = make_probe(forget[:2], retain[:2], retain[2:4], metrics=("answer_prob",), max_new_tokens=4)
done = train(lm, parse_objective(sys.argv[3]), Draws(forget, retain, (), 4, 0),
             TrainConfig(lr=1e-3, epochs=2, probe_every=1, step_rule=sys.argv[4]),
             Hooks(log=log.append, probe=probe, keep_best=parse_best_rule("utility.answer_prob")))
from accelerate import PartialState
state = PartialState()
if state.is_main_process:
    scores = [s.logps for s in lm.score(forget + retain)]
    losses = [r["loss"] for r in log if "loss" in r]
    probes = [r["probe"]["utility.answer_prob"] for r in log if "probe" in r]
    duals = [v for r in log for v in r.get("duals", {}).values()]
    json.dump({"processes": state.num_processes, "losses": losses, "scores": scores, "probes": probes,
               "kept": done.kept, "duals": duals}, open(sys.argv[2], "w"))
from forgetwell.models.processes import end_processes
end_processes()
"""


def launch(folder: Path, processes: int, objective: str, rule: str) -> dict:
    script, out = folder / "run.py", folder / f"{processes}.json"
    script.write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    start = [sys.executable]
    if processes > 1:
        start += ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--master-port=29617"]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    command = [*start, str(script), root, str(out), objective, rule]
    subprocess.run(command, check=True, env=environment, timeout=300)
    return json.loads(out.read_text())


@pytest.mark.parametrize(
    ("objective", "rule"),
    [
        ("npo + gdr + 2*su", "plain"),
        ("npo + gdr + 2*su", "sam(rho=0.05)"),
        ("pdu + pdu_retain(epsilon=5)", "surgery"),
    ],
)
def test_one_and_two_processes_agree(tmp_path, objective, rule):
    one, two = launch(tmp_path, 1, objective, rule), launch(tmp_path, 2, objective, rule)
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["kept"] == one["kept"]
    assert len(one["probes"]) == 5
    assert two["probes"] == pytest.approx(one["probes"], abs=1e-4)
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-4, rel=1e-4)
    assert two["duals"] == pytest.approx(one["duals"], abs=1e-4)
    for a, b in zip(one["scores"], two["scores"], strict=True):
        assert b == pytest.approx(a, abs=2e-3)
