"""Two processes give the result of one, with whole copies (DDP) and with the model divided (FSDP2)."""

from __future__ import annotations

import json

import pytest
from tests.tiny import tiny_lm
from tests.two_processes import ROOT, SCENARIOS, launcher, resumed, start, stop_at

from forgetwell.data.reading import read_request, read_rows
from forgetwell.files import write_jsonl
from forgetwell.models.lm import load
from forgetwell.runs.folder import read_manifest
from forgetwell.runs.job import Job
from forgetwell.runs.jobs import CHECKPOINT, run_job
from forgetwell.training.config import TrainConfig

BOTH = pytest.mark.parametrize("kind", ["ddp", "fsdp2"])
EACH = pytest.mark.parametrize("name", SCENARIOS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """What each scenario gave and its checkpoint, in a folder by how it was started.

    One process comes first; the others go on from its checkpoint as well as from their own.
    """
    made = {}
    for kind in ("single", "ddp", "fsdp2"):
        made[kind] = tmp_path_factory.mktemp(kind)
        others = [str(made["single"])] if kind != "single" else []
        start([*launcher(kind), str(ROOT / "tests" / "two_processes.py"), str(made[kind]), *others])
    return made


@pytest.fixture(scope="module")
def found(folders):
    """What each scenario gave, by how it was started."""
    return {
        kind: {name: json.loads((folder / f"{name}.json").read_text()) for name in SCENARIOS}
        for kind, folder in folders.items()
    }


def close(got, wanted, tolerance):
    for a, b in zip(got, wanted, strict=True):
        assert a == pytest.approx(b, abs=tolerance)


@BOTH
@EACH
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
        close(two[part], one[part], 2e-3)


@pytest.mark.parametrize("kind", ["single", "ddp", "fsdp2"])
@EACH
def test_an_interrupted_run_goes_on_to_the_same_model(found, kind, name):
    close(found[kind][name]["resumed"][0], found[kind][name]["scores"], 1e-5)


@BOTH
@EACH
def test_a_run_interrupted_on_one_process_goes_on_with_two(found, kind, name):
    close(found[kind][name]["resumed"][1], found["single"][name]["scores"], 2e-3)


@BOTH
@EACH
def test_a_run_interrupted_on_two_processes_goes_on_with_one(folders, found, kind, name):
    close(resumed(name, folders[kind]), found["single"][name]["scores"], 2e-3)


def test_gradients_are_clipped_somewhere(found):
    assert max(found["single"]["plain"]["norms"]) > SCENARIOS["plain"][2]["clip"]


@pytest.fixture
def files(tmp_path):
    """Flags of a run of a tiny model."""
    tiny_lm().save(tmp_path / "start")
    for name, count in (("forget", 3), ("retain", 4)):
        rows = [{"id": f"{name}{i}", "prompt": f"{name} {i}?", "answer": f"It is {i}"} for i in range(count)]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    model, forget, retain = (str(tmp_path / n) for n in ("start", "forget.jsonl", "retain.jsonl"))
    return {"--model": model, "--request": forget, "--retain": retain, "--objective": "npo + gdr"}


def command(files, out, *more):
    """Return an unlearn command for a launcher."""
    settings = {
        "--epochs": "2",
        "--lr": "1e-3",
        "--batch": "2",
        "--checkpoint-every": "1",
        "--dtype": "float32",
    }
    flags = [part for item in {**files, **settings, "--out": str(out)}.items() for part in item]
    return ["--module", "forgetwell", "unlearn", *flags, *more]


def interrupted_alone(files, out):
    """Leave the command's run as one process that was stopped after two of four steps."""
    config = TrainConfig(lr=1e-3, epochs=2, batch=2, checkpoint_every=1)
    request, retain = read_request(files["--request"]), read_rows(files["--retain"])
    job = Job("unlearn", files["--model"], request, retain, files["--objective"], config, dtype="float32")
    with pytest.raises(InterruptedError):
        run_job(job, out, progress=stop_at(3))
    assert (out / CHECKPOINT).exists()


@BOTH
def test_the_command_trains_and_saves_an_ordinary_folder(tmp_path, files, kind):
    from transformers import AutoModelForCausalLM

    start([*launcher(kind), *command(files, tmp_path / "run")])
    interrupted_alone(files, tmp_path / "moved")
    start([*launcher(kind), *command(files, tmp_path / "moved", "--resume")])
    for run in ("run", "moved"):
        assert read_manifest(tmp_path / run)["processes"] == {"count": 2, "kind": kind}
    rows = read_rows(files["--request"])
    whole, moved = (load(str(tmp_path / run), dtype="float32").score(rows) for run in ("run", "moved"))
    close([s.logps for s in moved], [s.logps for s in whole], 2e-3)
    saved = AutoModelForCausalLM.from_pretrained(str(tmp_path / "run" / "model"))
    assert saved.get_input_embeddings().weight is saved.get_output_embeddings().weight
    started = tiny_lm().module.network.get_input_embeddings().weight
    assert 0 < float((saved.get_input_embeddings().weight - started).abs().max()) < 0.1


ONE_ERROR = """
import os, sys
from forgetwell.cli import main
if os.environ["RANK"] in sys.argv.pop(1):
    sys.argv[sys.argv.index("--request") + 1] = "nowhere.jsonl"
sys.argv[1:] = sys.argv[3:]
main()
"""


@pytest.mark.parametrize("who", ["1", "01"])
def test_an_input_error_is_said_once_whoever_meets_it(tmp_path, files, who):
    script = tmp_path / "script.py"
    script.write_text(ONE_ERROR)
    told = start([*launcher("ddp"), str(script), who, *command(files, tmp_path / "run")], fails=True)
    assert told.count("forgetwell: ") == 1
    assert "nowhere.jsonl" in told
    assert not (tmp_path / "run").exists()
