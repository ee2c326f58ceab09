"""A run by a method in place of an objective."""

from dataclasses import replace

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.errors import InputError, UnknownName
from forgetwell.methods.finetune import Lora
from forgetwell.methods.registry import Training, apply_method
from forgetwell.models.lm import load
from forgetwell.runs import jobs
from forgetwell.runs.folder import read_manifest
from forgetwell.runs.job import Job
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks
from forgetwell.types import Request, Row

FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(4))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(5))
CONFIG = TrainConfig(lr=1e-3, epochs=4, batch=4)
JOB = Job("unlearn", "tiny", Request("q", FORGET), RETAIN, "", CONFIG, method="task_vector(alpha=2)")


def test_a_run_saves_what_the_method_makes(tmp_path):
    jobs.run_job(JOB, tmp_path / "run", lm=tiny_lm())
    made = load(str(tmp_path / "run"), dtype="float32")
    expected = tiny_lm()
    apply_method(expected, JOB.request, RETAIN, Training(CONFIG, Hooks()), JOB.method)
    for one, other in zip(made.module.parameters(), expected.module.parameters(), strict=True):
        assert torch.equal(one, other)
    assert read_manifest(tmp_path / "run")["objective"] == "task_vector(alpha=2)"


def test_from_python_it_is_given_in_place_of_an_objective(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "starting_model", lambda job: tiny_lm())
    jobs.unlearn("tiny", JOB.request, RETAIN, method=JOB.method, out=tmp_path / "run", config=CONFIG)
    assert read_manifest(tmp_path / "run")["objective"] == "task_vector(alpha=2)"


def test_a_finished_run_isnt_made_anew(tmp_path):
    jobs.run_job(JOB, tmp_path / "run", lm=tiny_lm())
    created = read_manifest(tmp_path / "run")["created"]
    jobs.run_job(JOB, tmp_path / "run", lm=tiny_lm(), resume=True)
    assert read_manifest(tmp_path / "run")["created"] == created


@pytest.mark.parametrize(
    ("job", "says"),
    [
        (replace(JOB, objective="npo + gdr"), "give one of the two"),
        (replace(JOB, method=""), "give one of the two"),
        (replace(JOB, lora=Lora()), "no use for adapters"),
        (replace(JOB, config=replace(CONFIG, checkpoint_every=2)), "no use for checkpoints"),
        (
            replace(
                JOB,
                probe=RETAIN,
                config=replace(CONFIG, stop_at="forget.rouge_l_recall<=0.3", probe_every=1),
            ),
            "no use for a stop rule",
        ),
    ],
)
def test_what_a_method_has_no_use_for_is_refused(job, says, tmp_path):
    with pytest.raises(InputError, match=says):
        jobs.run_job(job, tmp_path / "run", lm=tiny_lm())
    assert not (tmp_path / "run").exists()


def test_an_unknown_method_is_refused(tmp_path):
    with pytest.raises(UnknownName, match="task_vector"):
        jobs.run_job(replace(JOB, method="task_vektor"), tmp_path / "run", lm=tiny_lm())
