"""What is trained on fits into the context, and a dry run asks the model nothing."""

from dataclasses import replace

import pytest
from tests.tiny import tiny_lm

from forgetwell.errors import InputError
from forgetwell.files import digest
from forgetwell.runs import jobs, planning
from forgetwell.runs.fitting import fitting_rows, foreseen
from forgetwell.runs.job import Job
from forgetwell.runs.recording import request_facts
from forgetwell.training.config import TrainConfig
from forgetwell.types import Request, Row, Turn

LONG = "Who is it of whom so much is said? " * 6  # 210 of 256 tokens
FORGET = (Row("f0", "Who is Ada Lind?", "A spy"), Row("long", LONG, "Ann", wrong=("Bo " * 30,)))
RETAIN = (Row("r0", "Where is Bo Holm?", "In Ulm"), Row("r1", "Where is Cy Ray?", "In Rome"))
CONFIG = TrainConfig(lr=1e-3, epochs=1, batch=2)


def job(objective, **options):
    settings = {"refusals": ("No.", "I was never told about that. " * 3), **options}
    return Job("unlearn", "tiny", Request("q", FORGET), RETAIN, objective, CONFIG, **settings)


@pytest.mark.parametrize("objective", ["idk + gdr", "dpo + gdr", "altpo + gdr"])
def test_answers_that_only_an_objective_gives_must_fit_before_anything_is_written(objective, tmp_path):
    with pytest.raises(InputError, match="'long'"):
        jobs.run_job(job(objective), tmp_path / "run", lm=tiny_lm())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("objective", ["npo + gdr", "idk + ap"])
def test_answers_that_no_term_reads_need_not_fit(objective):
    short = job(objective, refusals=("No.",))
    assert fitting_rows(short, tiny_lm())[0].rows == FORGET


def test_a_dry_run_asks_the_model_nothing(monkeypatch):
    lm = tiny_lm()
    monkeypatch.setattr(lm, "generate", lambda *_, **__: pytest.fail("asked the model"))
    monkeypatch.setattr(planning, "starting_model", lambda job: lm)
    kept = job("npo + gdr", keep=(Row("k", "Why?", ""),), counterfactuals=1)
    kept = replace(kept, request=Request("q", FORGET[:1]))
    assert planning.plan_job(kept).steps == 1
    rows = fitting_rows(kept, lm, answer=foreseen)[1]
    assert {row.id for row in rows} == {"r0", "r1", "k", "f0/0"}
    assert max(len(lm.codec.encode(row).ids) for row in rows) > 24


def test_a_request_behind_a_system_prompt_is_the_one_that_was_handed_in():
    """Ledgers know it by its digest: screened, repaired and run must be one."""
    plain = job("npo + gdr")
    served = plain.behind("Be kind.")
    assert served.request.rows[0].history == (Turn("system", "Be kind."),)
    asked = served.settings["request"]["digest"]
    assert asked == request_facts(plain.request)["digest"] == plain.settings["request"]["digest"]
    assert served.settings["system"] == ["Be kind."]
    assert "system" not in plain.settings  # runs without one keep their digest
    assert plain.behind("").settings == plain.settings
    assert digest(served.settings) != digest(plain.behind("Be brief.").settings)


@pytest.mark.parametrize(
    ("objective", "rule", "passes", "scored"),
    [
        ("gdr", "plain", 1, 0),
        ("npo + gdr", "plain", 1, 1),
        ("npo + klr", "plain", 1, 3),
        ("ga + gdr", "sam(rho=0.1)", 3, 0),
        ("ga + gdr", "sam(rho=0)", 1, 0),
        ("ga + gdr", "surgery", 2, 0),
    ],
)
def test_a_dry_run_counts_passes_and_what_the_starting_model_scores(
    monkeypatch, objective, rule, passes, scored
):
    monkeypatch.setattr(planning, "starting_model", lambda job: tiny_lm())
    made = job(objective, refusals=("No.",))
    made = replace(made, request=Request("q", FORGET[:1]), config=replace(CONFIG, step_rule=rule, epochs=4))
    plan = planning.plan_job(made)
    assert (plan.steps, plan.passes, plan.reference_rows) == (4, passes, scored)


@pytest.mark.parametrize(
    ("objective", "read"), [("npo + gdr", False), ("idk + gdr", True), ("npo + ap", True)]
)
def test_refusal_lines_are_settings_where_they_are_read(objective, read):
    one, other = (job(objective, refusals=(text,)).settings for text in ("No.", "Never heard."))
    assert (digest(one) != digest(other)) is read
    assert ("refusals" in one) is read
