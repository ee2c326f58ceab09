"""What would end training in some step is said before anything is written."""

from dataclasses import replace

import pytest
from tests.tiny import tiny_lm

from forgetwell.errors import InputError
from forgetwell.methods.finetune import Lora, with_lora
from forgetwell.runs import jobs, planning
from forgetwell.runs.job import Job
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.views import scope
from forgetwell.types import Request, Row

FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(4))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(4))
CONFIG = TrainConfig(lr=1e-3, epochs=1, batch=2)
JOB = Job("unlearn", "tiny", Request("q", FORGET), RETAIN, "ga + gdr", CONFIG)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"retain": ()}, "needs retain rows"),
        ({"objective": "ga + gdr + su(prompts=3)"}, "prompts=3"),
        ({"objective": "rmu(layer=9, update=[]) + gdr"}, "layer=9"),
        ({"objective": "rmu(layer=0, update=[9]) + gdr"}, r"update=\[9\]"),
        ({"objective": "altpo + gdr"}, "'f0' has no alternative answers"),
        ({"objective": "idk + gdr"}, "needs refusal lines"),
        ({"config": replace(CONFIG, step_rule="sam(rho=-1)")}, r"rho=-1"),
        ({"lora": Lora(targets=("lm_head",), merge=True)}, "'lm_head' were to be merged"),
    ],
)
def test_what_can_not_be_trained_is_refused_before_anything_is_written(monkeypatch, tmp_path, changes, said):
    job = replace(JOB, **changes)
    with pytest.raises(InputError, match=said):
        jobs.run_job(job, tmp_path / "run", lm=tiny_lm())
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(planning, "starting_model", lambda job: tiny_lm())
    with pytest.raises(InputError, match=said):
        planning.plan_job(job)


def test_an_adapter_that_can_not_be_merged_is_no_start(tmp_path):
    lm = with_lora(tiny_lm(), Lora(targets=("lm_head",)), seed=0)
    with pytest.raises(InputError, match="also on 'lm_head'"):
        jobs.run_job(JOB, tmp_path / "run", lm=lm)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("term", ["su", "su(prompts=2)", "su_parts", "su_mixed(order=retain_first)"])
def test_a_retain_row_that_leaves_no_room_is_found_wherever_it_is_drawn(tmp_path, term):
    codec = tiny_lm().codec
    short = codec.length(Row("tight", "", "In Ulm"))
    tight = Row("tight", "x" * (codec.max_length - short - 2), "In Ulm")  # 2 tokens of room
    assert "tight" not in {p.retain.id for p in Draws(FORGET, (*RETAIN, tight), (), 2, 0).pairs(0)}
    job = replace(JOB, retain=(*RETAIN, tight), objective=f"ga + gdr + {term}")
    with pytest.raises(InputError, match="'tight' leaves no room"):
        jobs.run_job(job, tmp_path / "run", lm=tiny_lm())
    assert not (tmp_path / "run").exists()


def test_a_retain_row_that_leaves_a_little_room_is_trained_on(tmp_path):
    codec = tiny_lm().codec
    room = codec.max_length - codec.length(Row("r", "", "In Ulm"))
    rows = tuple(Row(f"t{k}", "x" * (room - 4 - k), "In Ulm") for k in range(4))
    for pair in Draws(FORGET, rows, (), 2, 0).pairs(0):
        codec.encode(scope(pair, codec))
    job = replace(JOB, retain=rows, objective="ga + gdr + su")
    assert jobs.run_job(job, tmp_path / "run", lm=tiny_lm()).steps == 2
