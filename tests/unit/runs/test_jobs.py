import errno
import os
from dataclasses import replace

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.errors import Busy, Diverged, ExistsError, InputError, UnknownName
from forgetwell.files import WriteFailed, read_jsonl, write_json
from forgetwell.methods.finetune import Lora
from forgetwell.models.lm import load
from forgetwell.runs import jobs
from forgetwell.runs.folder import alone, append_log, read_manifest
from forgetwell.runs.job import Job
from forgetwell.runs.learning import rows_without
from forgetwell.training import state
from forgetwell.training.config import TrainConfig
from forgetwell.types import Edit, Request, Row

FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(4))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(5))
JOB = Job(
    "unlearn", "tiny", Request("q", FORGET), RETAIN, "npo + gdr", TrainConfig(lr=1e-3, epochs=4, batch=4)
)


def test_a_run_is_one_folder_with_all_that_made_it(tmp_path):
    out = tmp_path / "run"
    jobs.run_job(JOB, out, lm=tiny_lm())
    manifest = read_manifest(out)
    assert manifest["objective"] == "npo + gdr"
    assert manifest["stopped"] == "finished"
    assert manifest["versions"]["torch"]
    assert manifest["compute"] == "float32"
    steps = read_jsonl(out / "train.jsonl")
    assert [s["step"] for s in steps] == [1, 2, 3, 4]
    assert set(steps[0]["terms"]) == {"npo", "gdr"}
    assert [r["id"] for r in read_jsonl(out / "request.jsonl")] == [r.id for r in FORGET]
    assert (out / "model" / "model.safetensors").exists()


def test_the_best_probes_weights_are_saved_and_the_step_is_noted(tmp_path):
    config = replace(JOB.config, probe_every=1)
    rule = "utility.answer_prob if forget.rouge_l_recall<=1"
    job = replace(JOB, config=config, probe=RETAIN[:2], keep_best=rule)
    summary = jobs.run_job(job, tmp_path / "run", lm=tiny_lm())
    manifest = read_manifest(tmp_path / "run")
    assert manifest["keep_best"] == rule
    assert manifest["kept_step"] == summary.kept
    probes = [r["probe"] for r in read_jsonl(tmp_path / "run" / "train.jsonl") if "probe" in r]
    best = max(range(1, 5), key=lambda step: probes[step]["utility.answer_prob"])
    assert summary.kept == best
    assert "keep_best" not in JOB.settings  # runs without the rule keep their digest


STOP = replace(JOB.config, stop_at="forget.rouge_l_recall<=0.3", probe_every=1)


@pytest.mark.parametrize(
    "job",
    [
        replace(JOB, keep_best="utility.rouge_l_recall"),
        replace(JOB, config=STOP),
        replace(JOB, config=replace(STOP, probe_every=0), probe=RETAIN),
    ],
    ids=["best, no probe", "stop, no probe", "stop, never asked"],
)
def test_a_rule_without_a_probe_is_refused_before_anything_is_written(job, tmp_path):
    with pytest.raises(InputError, match="needs a probe"):
        jobs.run_job(job, tmp_path / "run", lm=tiny_lm())
    assert not (tmp_path / "run").exists()


TEXTS = tuple(Row(f"t{i}", "", f"Text {i}", text=True) for i in range(4))
ASKED = replace(JOB, config=replace(JOB.config, probe_every=2), probe=RETAIN)


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (replace(ASKED, request=Request("q", TEXTS)), "the 4 rows to forget hold none.*Leave out the probe"),
        (replace(ASKED, probe=TEXTS), "the 4 rows to keep hold none.*Give questions"),
    ],
    ids=["request", "probe"],
)
def test_what_a_probe_cant_ask_is_refused_before_anything_is_written(job, says, tmp_path):
    with pytest.raises(InputError, match=says):
        jobs.run_job(job, tmp_path / "run", lm=tiny_lm())
    assert not (tmp_path / "run").exists()


def test_other_refusal_lines_are_another_run(tmp_path):
    job, out = replace(JOB, objective="idk + gdr", refusals=("No idea.",)), tmp_path / "run"
    jobs.run_job(job, out, lm=tiny_lm())
    with pytest.raises(InputError, match="begun with other rows"):
        jobs.run_job(replace(job, refusals=("Who knows?",)), out, lm=tiny_lm(), resume=True)


def test_the_card_says_what_was_measured_and_how_it_ended(tmp_path):
    job = replace(ASKED, keep_best="utility.answer_prob", system=("Be kind.",))
    summary = jobs.run_job(job, tmp_path / "run", lm=tiny_lm())
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    for line in ("| steps | 4 |", "| stopped | finished |", f"kept\\_step | {summary.kept} |", "Be kind"):
        assert line in card
    assert f"| utility.answer\\_prob | {summary.probe['utility.answer_prob']:.4g} |" in card


@pytest.mark.parametrize("asked", [{}, {"resume": True}, {"overwrite": True}], ids=str)
def test_two_processes_dont_write_one_run(asked, tmp_path):
    out = tmp_path / "run"
    with alone(out), pytest.raises(Busy, match=r"Another process is working on .*run"):
        jobs.run_job(JOB, out, lm=tiny_lm(), **asked)
    jobs.run_job(JOB, out, lm=tiny_lm(), **asked)
    assert len(read_jsonl(out / "train.jsonl")) == 4
    assert not (out / ".lock").exists()


def test_nothing_is_overwritten_unasked(tmp_path):
    out = tmp_path / "run"
    jobs.run_job(JOB, out, lm=tiny_lm())
    with pytest.raises(ExistsError, match="overwrite"):
        jobs.run_job(JOB, out, lm=tiny_lm())
    jobs.run_job(JOB, out, lm=tiny_lm(), overwrite=True)
    with pytest.raises(ExistsError, match=r"--overwrite would remove .*run, and with it .*model"):
        jobs.run_job(replace(JOB, model=str(out / "model")), out, lm=tiny_lm(), overwrite=True)
    assert (out / "model" / "model.safetensors").is_file()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(ExistsError, match="no run of forgetwell"):
        jobs.run_job(JOB, mine, lm=tiny_lm(), overwrite=True)
    assert (mine / "thesis.txt").read_text() == "precious"


def interrupt(done, steps):
    if done == 3:
        raise KeyboardInterrupt


def test_an_interrupted_run_resumes_to_the_same_weights_and_log(tmp_path):
    job = replace(JOB, config=replace(JOB.config, checkpoint_every=2))
    jobs.run_job(job, tmp_path / "whole", lm=tiny_lm())
    with pytest.raises(KeyboardInterrupt):
        jobs.run_job(job, tmp_path / "cut", lm=tiny_lm(), progress=interrupt)
    assert not (tmp_path / "cut" / "manifest.json").exists()
    jobs.run_job(job, tmp_path / "cut", lm=tiny_lm(), resume=True)
    assert [r["step"] for r in read_jsonl(tmp_path / "cut" / "train.jsonl")] == [1, 2, 3, 4]
    files = [tmp_path / name / "model" / "model.safetensors" for name in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_finished_run_is_left_as_it_is_when_it_is_resumed(tmp_path):
    config = replace(JOB.config, probe_every=2, stop_at="forget.rouge_l_recall>=1.5")
    rule = "utility.rouge_l_recall if forget.rouge_l_recall>=1.5"  # no recall is above 1: both are missed
    job, out = replace(JOB, config=config, probe=RETAIN[:2], keep_best=rule), tmp_path / "run"
    made = jobs.run_job(job, out, lm=tiny_lm())
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    (out / jobs.CHECKPOINT).write_bytes(b"left by a run that was killed after its manifest")
    found = jobs.run_job(job, out, lm=tiny_lm(), resume=True)
    assert (made.missed, made.met) == (True, False)
    assert replace(found, seconds=made.seconds) == made
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert after == before
    with pytest.raises(InputError, match="tiny has changed since"):
        jobs.run_job(job, out, lm=tiny_lm(1), resume=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a file that is always full")
def test_a_full_disk_in_the_middle_of_a_run_is_said_plainly(tmp_path):
    (tmp_path / "train.jsonl").symlink_to("/dev/full")
    with pytest.raises(
        WriteFailed, match=r"train\.jsonl: No space left on device\. Free some space and resume"
    ):
        append_log(tmp_path, {"step": 1})


def test_a_full_disk_at_a_checkpoint_is_said_plainly(tmp_path, monkeypatch):
    def full(*_):  # what torch 2 raised on a file system of 700 kB
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 672448 vs 672340")

    job = replace(JOB, config=replace(JOB.config, checkpoint_every=2))
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(WriteFailed, match=r"Could not write .*checkpoint\.pt: .*is the disk full"):
        jobs.run_job(job, tmp_path / "run", lm=tiny_lm())
    assert [path.name for path in (tmp_path / "run").glob(".*")] == []


def test_a_run_is_not_gone_on_with_in_another_compute_type(tmp_path):
    job = replace(JOB, config=replace(JOB.config, checkpoint_every=2))
    with pytest.raises(KeyboardInterrupt):
        jobs.run_job(job, tmp_path / "cut", lm=tiny_lm(), progress=interrupt)
    with pytest.raises(InputError, match="--dtype"):
        jobs.run_job(job, tmp_path / "cut", lm=replace(tiny_lm(), compute=torch.bfloat16), resume=True)


def test_without_leaves_out_the_request_even_if_it_was_attacked():
    edit = Edit("stealthy", "{q}, please?", FORGET[0].prompt, FORGET[0].answer)
    asked = Request("q", (replace(FORGET[0], prompt="Who is F0, please?", edit=edit),))
    assert rows_without(FORGET, asked) == FORGET[1:]
    with pytest.raises(InputError, match="0 of 5"):
        rows_without(RETAIN, asked)


def test_a_full_disk_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteFailed, match="No space left"):
        write_json(path, {"a": 2})
    assert path.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_wrong_step_rule_is_refused_before_anything_is_written(tmp_path):
    job = replace(JOB, config=replace(JOB.config, step_rule="sam(rh=1)"))
    with pytest.raises(UnknownName, match="'rho'"):
        jobs.run_job(job, tmp_path / "run", lm=tiny_lm())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("lora", [None, Lora(2), Lora(2, merge=True)])
@pytest.mark.parametrize("redact", [False, True])
def test_a_manifest_names_the_saved_model_as_it_is_known_when_it_is_loaded(tmp_path, lora, redact):
    tiny_lm().save(tmp_path / "base")
    job = replace(JOB, model=str(tmp_path / "base"), lora=lora, redact=redact)
    jobs.run_job(job, tmp_path / "run")
    assert read_manifest(tmp_path / "run")["digest"] == load(tmp_path / "run", device="cpu").digest


def test_a_manifest_names_no_model_where_none_is_saved_or_its_base_is_not_here(tmp_path):
    jobs.run_job(JOB, tmp_path / "measured", lm=tiny_lm(), save=False)
    jobs.run_job(replace(JOB, lora=Lora(2)), tmp_path / "adapter", lm=tiny_lm())
    assert not any("digest" in read_manifest(tmp_path / name) for name in ("measured", "adapter"))


def test_adapters_are_saved_alone_or_merged_into_a_plain_model(tmp_path):
    for lora in (Lora(2), Lora(2, merge=True)):
        out = tmp_path / str(lora.merge)
        jobs.run_job(replace(JOB, lora=lora), out, lm=tiny_lm())
        assert (out / "model" / "adapter_config.json").exists() is not lora.merge
        assert (out / "model" / "model.safetensors").exists() is lora.merge
    assert load(str(tmp_path / "True"), device="cpu").score(FORGET)


WILD = replace(JOB, config=replace(JOB.config, lr=1e30, clip=0.0))


def test_a_run_that_diverged_is_not_finished(tmp_path):
    out = tmp_path / "run"
    for asked in ({}, {"resume": True}):
        with pytest.raises(Diverged, match="the weights of step 1 give no finite loss"):
            jobs.run_job(WILD, out, lm=tiny_lm(), **asked)
        assert not (out / "manifest.json").exists()
        assert not (out / "model").exists()


def test_a_run_that_went_back_to_a_checkpoint_says_so(tmp_path, monkeypatch):
    descend = state.descend

    def spoiled(shared, slope):
        record = descend(shared, slope)
        if slope.step == 2:
            next(iter(shared.parallel.lm.trainable())).data.fill_(float("nan"))
        return record

    monkeypatch.setattr("forgetwell.training.loop.descend", spoiled)
    out, job = tmp_path / "run", replace(JOB, config=replace(JOB.config, checkpoint_every=1))
    made = jobs.run_job(job, out, lm=tiny_lm())
    manifest = read_manifest(out)
    assert (manifest["diverged"], manifest["steps"], manifest["kept_step"]) == (True, 3, 2)
    assert not (out / jobs.CHECKPOINT).exists()
    found = jobs.run_job(job, out, lm=tiny_lm(), resume=True)
    assert replace(found, seconds=made.seconds) == made
    monkeypatch.undo()
    with pytest.raises(KeyboardInterrupt):
        jobs.run_job(job, tmp_path / "cut", lm=tiny_lm(), progress=interrupt)
    kept = torch.load(tmp_path / "cut" / jobs.CHECKPOINT, weights_only=True)
    assert kept["step"] == 2
    saved = load(str(out), dtype="float32", device="cpu").module.state_dict()
    assert all(torch.equal(saved[name], values) for name, values in kept["weights"].items())
