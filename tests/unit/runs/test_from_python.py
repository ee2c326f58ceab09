"""The functions of the package do what the commands of the same names do."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tests.tiny import tiny_lm
from tests.toy import rows

import forgetwell
from forgetwell import Lora, Request, TrainConfig
from forgetwell.cli import main
from forgetwell.errors import InputError
from forgetwell.files import file_sha256
from forgetwell.methods.finetune import with_lora
from forgetwell.runs.folder import read_manifest

CONFIG = TrainConfig(lr=1e-3, epochs=2, batch=2)
FLAGS = ("--lr", "1e-3", "--epochs", "2", "--batch", "2")
WEIGHTS = "model/model.safetensors"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder with a model, rows to forget and rows to keep, in which commands run."""
    monkeypatch.chdir(tmp_path)
    tiny_lm().save(tmp_path / "tiny")
    forgetwell.write_rows(tmp_path / "request.jsonl", rows("f", 4))
    forgetwell.write_rows(tmp_path / "retain.jsonl", rows("r", 4))
    forgetwell.write_rows(tmp_path / "all.jsonl", (*rows("f", 4), *rows("r", 4)))
    return tmp_path


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["forgetwell", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code


def test_unlearn_is_the_command(files, monkeypatch):
    request = ("--request", "request.jsonl", "--retain", "retain.jsonl", "--objective", "npo + gdr")
    command(monkeypatch, "unlearn", "--model", "tiny", *request, "--out", "there", *FLAGS)
    kept = rows("r", 4)
    forgetwell.unlearn(
        "tiny", "request.jsonl", kept, objective="npo + gdr", out="here", config=CONFIG, probe="retain.jsonl"
    )
    assert file_sha256(files / "here" / WEIGHTS) == file_sha256(files / "there" / WEIGHTS)


@pytest.mark.parametrize("without", [None, "request.jsonl", Request("asked", rows("f", 4))])
def test_learn_is_the_command(files, monkeypatch, without):
    flags = () if without is None else ("--without", "request.jsonl")
    command(monkeypatch, "learn", "--model", "tiny", "--data", "all.jsonl", "--out", "there", *FLAGS, *flags)
    forgetwell.learn("tiny", "all.jsonl", out="here", without=without, config=CONFIG)
    assert file_sha256(files / "here" / WEIGHTS) == file_sha256(files / "there" / WEIGHTS)


def test_threads_make_what_a_program_makes_alone(files):
    def made(name, lora):
        out = files / name
        forgetwell.unlearn(
            "tiny", "request.jsonl", "retain.jsonl", objective="npo + gdr", out=out, config=CONFIG, lora=lora
        )
        return file_sha256(next((out / "model").glob("*model.safetensors")))

    kinds = (None, Lora(rank=2), None, Lora(rank=2))
    alone = [made(f"alone{k}", lora) for k, lora in enumerate(kinds)]
    with ThreadPoolExecutor(len(kinds)) as pool:
        together = list(pool.map(made, ("a", "b", "c", "d"), kinds))
    assert together == alone


def test_adapters_leave_the_programs_random_state(files):
    lm = forgetwell.load("tiny")
    before = torch.get_rng_state()
    with_lora(lm, Lora(rank=2), seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_models_and_files_are_paths_as_well_as_names(files):
    """What a run leaves is a path, and the next function's model."""
    after, learned = files / "after", files / "learned"
    config = TrainConfig(max_steps=1, batch=2)
    forgetwell.unlearn(
        files / "tiny", files / "request.jsonl", rows("r", 4), objective="npo", out=after, config=config
    )
    forgetwell.learn(after, files / "all.jsonl", out=learned, config=config)
    assert read_manifest(learned)["model"] == str(after)
    assert forgetwell.load(learned).name == str(learned)
    forgetwell.evaluate(learned, "world(limit=1)", files / "evaluation")
    assert read_manifest(files / "evaluation")["model"] == str(learned)
    with pytest.raises(InputError, match="a scan needs at least 12"):
        forgetwell.scan(files / "tiny", after, rows("r", 4))
    forgetwell.write_rows("rows.jsonl", rows("r", 4))
    assert forgetwell.read_rows("rows.jsonl") == rows("r", 4)
    job = forgetwell.Job(
        "unlearn", "tiny", Request("r", rows("f", 2)), rows("r", 2), "npo", config, probe=rows("r", 2)
    )
    with pytest.raises(InputError, match="nothing to tune"):  # it knows nothing
        forgetwell.tune(job, forgetwell.Search(trials=2), "search")


def test_compute_type_and_longest_row_are_the_commands(files):
    config = TrainConfig(max_steps=1, batch=2)
    common = {"config": config, "dtype": "float32", "max_length": 200}
    forgetwell.unlearn("tiny", "request.jsonl", "retain.jsonl", objective="npo", out="after", **common)
    forgetwell.learn("tiny", "all.jsonl", out="learned", **common)
    for run in ("after", "learned"):
        made = read_manifest(files / run)
        assert (made["dtype"], made["max_length"]) == ("float32", 200)
