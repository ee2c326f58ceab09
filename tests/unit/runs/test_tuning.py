"""Successive halving on a tiny model; its probe reads log-probabilities, since it can't answer anything."""

import shlex
import sys
from dataclasses import replace

import pytest
from tests.tiny import tiny_lm

from forgetwell.cli import main
from forgetwell.cli.training import Training
from forgetwell.cli.tuning import command
from forgetwell.errors import ExistsError, InputError
from forgetwell.files import read_jsonl, write_jsonl
from forgetwell.runs import fitting, jobs, tuning
from forgetwell.runs.job import Job
from forgetwell.runs.tuning import Search, read_trial, tune
from forgetwell.training.config import TrainConfig
from forgetwell.types import Request, Row

FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(4))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(4))
CONFIG = TrainConfig(lr=1e-3, epochs=8, batch=4)
JOB = Job("unlearn", "tiny", Request("q", FORGET), RETAIN, "npo + gdr + 2*su", CONFIG, probe=RETAIN)
SEARCH = Search(trials=4, level=0.6)


def recall(lm, rows, start):
    mean = sum(sum(s.logps) / len(s.logps) for s in lm.score(rows)) / len(rows)
    return max(0.0, min(1.0, 0.9 + (mean - start)))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    start = {
        rows: sum(sum(s.logps) / len(s.logps) for s in tiny_lm().score(rows)) / 4 for rows in (FORGET, RETAIN)
    }

    def probe(request, kept, *, metrics, seed):
        names = {"forget": FORGET, "utility": RETAIN, "trigger": RETAIN}
        return lambda lm, step: {
            f"{name}.rouge_l_recall": recall(lm, rows, start[rows]) for name, rows in names.items()
        }

    monkeypatch.setattr(jobs, "load", lambda *a, **k: tiny_lm())
    monkeypatch.setattr(jobs, "request_probe", probe)


def test_half_of_the_settings_go_on_with_twice_the_steps(tmp_path):
    found = tune(JOB, SEARCH, tmp_path / "t")
    assert [t.steps for t in found] == [8, 8, 4, 4]
    assert {t.number for t in found} == {0, 1, 2, 3}
    assert found[0].rank >= found[1].rank
    assert (found[-1].lr, found[-1].objective) != (found[0].lr, found[0].objective)
    assert all(t.objective.startswith("npo + ") for t in found)  # the forget term keeps its weight
    assert not list(tmp_path.glob("t/**/model"))
    assert "spy" not in "".join(p.read_text() for p in tmp_path.glob("t/**/*.json*"))


def test_it_is_decided_by_the_seed(tmp_path):
    def numbers(name, seed):
        return tune(JOB, replace(SEARCH, seed=seed), tmp_path / name)

    assert numbers("a", 0) == numbers("b", 0)
    assert {t.lr for t in numbers("c", 1)} != {t.lr for t in numbers("a", 0)}


def test_an_interrupted_search_goes_on_and_repeats_nothing(tmp_path, monkeypatch):
    def stop(done, steps):
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(JOB, SEARCH, tmp_path / "cut", progress=stop)
    done = {p: p.stat().st_mtime_ns for p in tmp_path.glob("cut/**/manifest.json")}
    assert len(done) == 2
    assert tune(JOB, SEARCH, tmp_path / "cut") == tune(JOB, SEARCH, tmp_path / "whole")
    assert all(p.stat().st_mtime_ns == when for p, when in done.items())


def test_progress_counts_all_steps(tmp_path):
    seen = []
    tune(JOB, SEARCH, tmp_path / "t", progress=lambda done, steps: seen.append((done, steps)))
    assert seen[-1] == (32, 32)
    assert [d for d, _ in seen] == list(range(1, 33))


def test_another_search_is_not_overwritten_unasked(tmp_path):
    tune(JOB, SEARCH, tmp_path / "t")
    with pytest.raises(ExistsError, match="other settings"):
        tune(JOB, replace(SEARCH, level=0.5), tmp_path / "t")
    assert tune(JOB, replace(SEARCH, trials=2), tmp_path / "t", overwrite=True)


def probes(*values):
    parts = ("forget", "utility", "trigger")
    return [
        {"step": k, "probe": {f"{p}.rouge_l_recall": x for p, x in zip(parts, v, strict=True)}}
        for k, v in enumerate(values)
    ]


def test_a_trial_is_read_where_forgetting_reaches_the_level():
    trial = read_trial(0, JOB, 0.5, [{"step": 1, "loss": 2.0}, *probes((0.9, 1, 1), (0.3, 0.7, 0.4))])
    # two thirds of the way: clean 0.8, trigger 0.6
    assert trial.utility == pytest.approx(0.7)
    late = read_trial(1, JOB, 0.2, probes((0.9, 1, 1), (0.3, 1, 1)))
    later = read_trial(2, JOB, 0.2, probes((0.9, 1, 1), (0.4, 1, 1)))
    assert late.utility is None
    assert trial.rank > late.rank > later.rank


def test_a_model_that_forgot_already_is_refused():
    with pytest.raises(InputError, match="lower --level"):
        read_trial(0, JOB, 0.5, probes((0.4, 1, 1)))
    with pytest.raises(InputError, match="at least 2"):
        Search(trials=1)
    with pytest.raises(InputError, match="probe"):
        tune(replace(JOB, probe=()), SEARCH, None)


@pytest.mark.parametrize("keep", [[], ["--keep", "k.jsonl"]])
def test_the_printed_command_makes_the_winners_run(tmp_path, monkeypatch, capsys, keep):
    monkeypatch.chdir(tmp_path)
    own = {"answer": "own"}
    monkeypatch.setattr(fitting, "own_answers", lambda lm, rows, **_: tuple(replace(r, **own) for r in rows))
    for name, rows in (("f.jsonl", FORGET), ("r.jsonl", RETAIN)):
        write_jsonl(tmp_path / name, [{"prompt": r.prompt, "answer": r.answer} for r in rows])
    write_jsonl(tmp_path / "k.jsonl", [{"prompt": f"say {k}", "answer": "-"} for k in range(3)])
    shared = ["--model", "tiny", "--request", "f.jsonl", "--retain", "r.jsonl", *keep]
    options = ["--objective", "npo + gdr", "--lr", "1e-3", "--epochs", "4", "--trials", "2", "--level", "0.7"]
    monkeypatch.setattr(sys, "argv", ["forgetwell", "tune", *shared, *options, "--out", "t"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    line = printed.splitlines()[-1]
    assert ("--keep k.jsonl" in line) is bool(keep)
    monkeypatch.setattr(sys, "argv", shlex.split(line.replace("DIR", "best")))
    with pytest.raises(SystemExit):
        main()
    (winner,) = tmp_path.glob(f"t/round-0/trial-0{printed.splitlines()[1].split()[0]}")

    def losses(folder):
        return [r["loss"] for r in read_jsonl(folder / "train.jsonl") if "loss" in r]

    assert losses(tmp_path / "best") == losses(winner)


def test_only_flags_that_are_not_default_are_printed():
    training = Training(lr=3e-5, lora=8, lora_target=("q_proj", "v_proj"), checkpointing=True)
    line = command({"model": ["smollm2"], "objective": ["npo + gdr"]}, training)
    assert line == (
        "forgetwell unlearn --model smollm2 --objective 'npo + gdr' --lr 3e-05 --checkpointing --lora 8 "
        "--lora-target q_proj --lora-target v_proj --out DIR"
    )


def test_several_processes_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="without a launcher"):
        tune(JOB, SEARCH, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_it_says_when_no_setting_reached_the_level(tmp_path, monkeypatch, capsys):
    for name, rows in (("forget", FORGET), ("retain", RETAIN)):
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    files = ["--request", str(tmp_path / "forget.jsonl"), "--retain", str(tmp_path / "retain.jsonl")]
    flags = [
        "--objective",
        "npo + gdr",
        "--max-steps",
        "2",
        "--lr",
        "1e-9",
        "--trials",
        "2",
        "--level",
        "0.01",
    ]
    monkeypatch.setattr(
        sys, "argv", ["forgetwell", "tune", "--model", "tiny", *files, *flags, "--out", str(tmp_path / "t")]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "No setting forgot down to 0.01 in 2 steps" in capsys.readouterr().out


def test_a_setting_that_diverges_is_the_worst_and_the_search_goes_on(tmp_path, monkeypatch):
    def settings(job, search):
        return [job, replace(job, config=replace(job.config, lr=1e30, clip=0.0))]

    monkeypatch.setattr(tuning, "_settings", settings)
    search = replace(SEARCH, trials=2)
    found = tune(JOB, search, tmp_path / "t")
    assert [(t.number, t.diverged) for t in found] == [(0, False), (1, True)]
    assert tune(JOB, search, tmp_path / "t") == found
    better = replace(found[1], utility=1.0)
    assert found[0].rank > better.rank
