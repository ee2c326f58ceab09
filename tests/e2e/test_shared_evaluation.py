"""Evaluations that several processes share, and evaluations that are killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tiny import tiny_lm

from forgetwell.files import read_jsonl
from forgetwell.runs.records import load_results

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, sys
import torch
torch.set_num_threads(1)
from forgetwell.models.lm import HFModel
from forgetwell.runs.evaluation import evaluate
from forgetwell.suites import asking
model, out, dies_at, resume = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "resume"
asking.ROUND = 64
score, rounds, texts = HFModel.score, [0], [0]
def counted(self, rows, **options):
    rounds[0] += 1
    texts[0] += len(rows)
    if rounds[0] == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)
    return score(self, rows, **options)
HFModel.score = counted
evaluate(model, "world(limit=4, max_new_tokens=4)", out, dtype="float32", resume=resume)
print(f"scored {texts[0]} texts as process {os.environ.get('RANK', '0')}", flush=True)
from forgetwell.models.processes import end_processes
end_processes()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "model"
    tiny_lm(max_length=512).save(folder)
    return folder


def start(folder, model, out, *, processes=1, dies_at=0, resume=False):
    script = folder / "run.py"
    script.write_text(SCRIPT)
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--master-port=29653"]
    command = [*launch, str(script), str(model), str(out), str(dies_at), "resume" if resume else ""]
    path = os.pathsep.join([str(ROOT / "src"), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "ACCELERATE_USE_CPU": "true"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


def values(out):
    return {(r.metric, r.split): (r.value, r.low, r.high, r.n) for r in load_results(out)}


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = start(folder, model, folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run", int(done.stdout.split()[1])


def test_two_processes_give_the_numbers_of_one(tmp_path, model, whole):
    out = tmp_path / "run"
    done = start(tmp_path, model, out, processes=2)
    assert done.returncode == 0, done.stderr
    said = sorted(line for line in done.stdout.splitlines() if line.startswith("scored"))
    assert [line.split()[-1] for line in said] == ["0", "1"]
    shares = [int(line.split()[1]) for line in said]
    assert min(shares) > 0
    assert sum(shares) == whole[1]
    assert json.loads((out / "manifest.json").read_text())["processes"] == 2
    assert values(out).keys() == values(whole[0]).keys()
    for key, numbers in values(whole[0]).items():
        assert values(out)[key] == pytest.approx(numbers, abs=1e-5), key
    assert [r["generated"] for r in read_jsonl(out / "answers.jsonl")] == [
        r["generated"] for r in read_jsonl(whole[0] / "answers.jsonl")
    ]


def test_a_killed_evaluation_goes_on_where_it_stopped(tmp_path, model, whole):
    out = tmp_path / "run"
    assert start(tmp_path, model, out, dies_at=3).returncode == -9
    assert not (out / "manifest.json").exists()
    assert start(tmp_path, model, out).returncode != 0  # neither --resume nor --overwrite
    done = start(tmp_path, model, out, resume=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[1]) == whole[1] - 2 * 64
    for key, numbers in values(whole[0]).items():
        assert values(out)[key] == pytest.approx(numbers, abs=1e-5), key
