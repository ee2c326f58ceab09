"""Two processes give the result of one, with whole copies (DDP) and with the model divided (FSDP2)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tiny import tiny_lm

from forgetwell.files import write_jsonl
from forgetwell.runs.folder import read_manifest

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "examples" / "accelerate"

# objective, step rule, further settings, adapters
SCENARIOS = {
    "plain": ("npo + gdr + 2*su", "plain", {"clip": 0.5}, False),
    "sam": ("npo + gdr + 2*su", "sam(rho=0.05)", {}, False),
    "surgery": ("pdu + pdu_retain(epsilon=5)", "surgery", {}, False),
    "adapters": ("npo + klr", "plain", {"batch": 3, "accumulate": 2, "checkpointing": True}, True),
    "layers": ("rmu(layer=1, update=[0, 1]) + 2*rmu_retain(layer=1) + gdr", "plain", {"batch": 1}, False),
}

SCRIPT = """
import json, sys, torch
torch.set_num_threads(1)
root, folder, scenarios = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sys.path.insert(0, root)
from dataclasses import replace
from pathlib import Path
from forgetwell.methods.finetune import Lora, with_lora
from forgetwell.models.processes import end_processes, started_processes
from forgetwell.objectives.algebra import parse_objective
from forgetwell.suites.probe import make_probe
from forgetwell.training.best import parse_best_rule
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import Hooks, train
from forgetwell.types import Row
from tests.tiny import tiny_lm

processes = started_processes()
forget = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(5))
retain = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(7))
probe = make_probe(forget[:2], retain[:2], retain[2:4], metrics=("answer_prob",), max_new_tokens=4)

def stop(done, steps):
    if done == 3:
        raise InterruptedError

for name, (objective, rule, settings, adapters) in scenarios.items():
    common = {"lr": 1e-3, "epochs": 2, "probe_every": 1, "batch": 4, "step_rule": rule}
    config = TrainConfig(**common | settings)
    draws = Draws(forget, retain, (), config.batch, 0)
    def run(hooks, resume=False):
        lm = with_lora(tiny_lm(), Lora(rank=2), seed=0) if adapters else tiny_lm()
        done = train(lm, parse_objective(objective), draws, config, hooks, resume=resume)
        return done, [s.logps for s in lm.score(forget + retain)], lm.module.network
    log = []
    done, scores, network = run(Hooks(log.append, probe, parse_best_rule("utility.answer_prob")))
    last = run(Hooks())[1]
    hooks = Hooks(progress=stop, checkpoint=Path(folder, name + ".pt"))
    config = replace(config, checkpoint_every=2, probe_every=0)
    try:
        run(hooks)
    except InterruptedError:
        pass
    resumed = run(replace(hooks, progress=lambda done, steps: None), resume=True)[1]
    if processes.first:
        found = {
            "processes": processes.count,
            "losses": [r["loss"] for r in log if "loss" in r],
            "norms": [r["grad_norm"] for r in log if "loss" in r],
            "probes": [r["probe"]["utility.answer_prob"] for r in log if "probe" in r],
            "duals": [v for r in log for v in r.get("duals", {}).values()],
            "kept": done.kept, "scores": scores, "last": last, "resumed": resumed,
        }
        Path(folder, name + ".json").write_text(json.dumps(found))
end_processes()
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each scenario gave, by how it was started."""
    made = {}
    for kind in ("single", "ddp", "fsdp2"):
        folder = tmp_path_factory.mktemp(kind)
        script = folder / "run.py"
        script.write_text(SCRIPT)
        arguments = [str(script), str(ROOT), str(folder), json.dumps(SCENARIOS)]
        start([*launcher(kind), *arguments])
        made[kind] = {name: json.loads((folder / f"{name}.json").read_text()) for name in SCENARIOS}
    return made


def launcher(kind: str) -> list[str]:
    if kind == "single":
        return [sys.executable]
    config = ["--config_file", str(CONFIGS / f"cpu-{kind}.yaml"), "--main_process_port", "0"]
    return [sys.executable, "-m", "accelerate.commands.launch", *config]


def start(command: list[str]) -> None:
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment, timeout=600)


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_one_and_two_processes_agree(found, kind, name):
    one, two = found["single"][name], found[kind][name]
    assert (one["processes"], two["processes"]) == (1, 2)
    assert two["kept"] == one["kept"]
    assert len(one["probes"]) == len(one["losses"]) + 1
    assert two["probes"] == pytest.approx(one["probes"], abs=1e-4)
    assert two["losses"] == pytest.approx(one["losses"], abs=1e-4, rel=1e-4)
    assert two["norms"] == pytest.approx(one["norms"], abs=1e-4, rel=1e-3)
    assert two["duals"] == pytest.approx(one["duals"], abs=1e-4)
    for part in ("scores", "last"):
        for a, b in zip(one[part], two[part], strict=True):
            assert b == pytest.approx(a, abs=2e-3)


@pytest.mark.parametrize("kind", ["single", "ddp", "fsdp2"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_an_interrupted_run_goes_on_to_the_same_model(found, kind, name):
    for a, b in zip(found[kind][name]["last"], found[kind][name]["resumed"], strict=True):
        assert b == pytest.approx(a, abs=1e-5)


def test_gradients_are_clipped_somewhere(found):
    assert max(found["single"]["plain"]["norms"]) > SCENARIOS["plain"][2]["clip"]


@pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
def test_the_command_trains_and_saves_an_ordinary_folder(tmp_path, kind):
    from transformers import AutoModelForCausalLM

    tiny_lm().save(tmp_path / "start")
    for name, count in (("forget", 3), ("retain", 4)):
        rows = [{"id": f"{name}{i}", "prompt": f"{name} {i}?", "answer": f"It is {i}"} for i in range(count)]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    files = ["--request", str(tmp_path / "forget.jsonl"), "--retain", str(tmp_path / "retain.jsonl")]
    command = ["--module", "forgetwell", "unlearn", "--model", str(tmp_path / "start"), *files]
    training = ["--objective", "npo + gdr", "--epochs", "1", "--lr", "1e-3", "--batch", "2"]
    start([*launcher(kind), *command, *training, "--out", str(tmp_path / "run")])
    manifest = read_manifest(tmp_path / "run")
    assert manifest["processes"] == {"count": 2, "kind": kind}
    saved = AutoModelForCausalLM.from_pretrained(str(tmp_path / "run" / "model"))
    assert saved.get_input_embeddings().weight is saved.get_output_embeddings().weight
    started = tiny_lm().module.network.get_input_embeddings().weight
    assert 0 < float((saved.get_input_embeddings().weight - started).abs().max()) < 0.1
