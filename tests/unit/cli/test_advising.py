"""What `unlearn` says of a request and an objective before it runs."""

from dataclasses import replace

import pytest

from forgetwell.cli.advising import advise
from forgetwell.errors import InputError
from forgetwell.runs.job import Job
from forgetwell.training.config import TrainConfig
from forgetwell.types import Request, Row

KEPT = (Row("k", "Where was Bo Holm born?", "In Bergen."),)
LONG = " ".join(["word"] * 30)


def said(capsys, rows, objective="ga + gdr", **more):
    advise(Job("unlearn", "tiny", Request("r", tuple(rows)), KEPT, objective, TrainConfig(), **more))
    output = capsys.readouterr()
    assert output.out == ""
    return output.err


def questions(*prompts, answer="In Oslo."):
    return [Row(str(i), prompt, answer) for i, prompt in enumerate(prompts)]


def test_frames_are_shown_with_what_hides_in_them(capsys):
    plain = [f"Where was Ada {i} born?" for i in range(60)]
    assert said(capsys, questions(*plain, "Is Ada 1 still alive?")) == ""
    told = said(
        capsys, questions(*plain, "Please tell me \u202ewhere was Ada 41 born?", "Please, who is Ada 2?")
    )
    assert told.startswith(
        "2 of 62 rows frame what they ask: “Please tell me \\u202ewhere was Ada 41 born?”."
    )
    assert "--repair bare" in told


@pytest.mark.parametrize(
    ("objective", "answer", "tried"),
    [
        ("npo + gdr", "Ada Lind was born in Oslo.", "npo(beta=0.5)"),
        ("npo(beta=0.5) + gdr", "Ada Lind was born in Oslo.", ""),
        ("npo + gdr", LONG, ""),
        ("simnpo + gdr", "Oslo", ""),
        ("npo(unwanted=facts) + gdr", "Oslo", ""),
        ("0.5*npo(beta=0.01) + 2*su", LONG, "npo(beta=0.1)"),
    ],
)
def test_a_beta_that_goes_on_pushing_is_named(capsys, objective, answer, tried):
    told = said(capsys, questions("Where was Ada Lind born?", answer=answer), objective)
    assert bool(told) == bool(tried)
    assert tried in told


def test_rows_that_nobody_else_can_be_asked_are_counted(capsys):
    rows = questions("Where was Ada Lind born?", "Where was she born?", "Who is ada lind?")
    assert said(capsys, rows) == said(capsys, rows[:1], "idk + gdr", counterfactuals=2, keep=KEPT) == ""
    told = said(capsys, rows, "idk + gdr", counterfactuals=2, keep=(Row("1/0", "Who was she?", ""),))
    assert told.startswith("1 of 3 rows name nobody")
    with pytest.raises(InputError, match="of the request hold no full name"):
        said(capsys, rows[1:2], "idk + gdr", counterfactuals=2)


def test_a_stop_rule_cuts_off_what_questions_about_others_bring_back(capsys):
    rule = "forget.rouge_l_recall<=0.3"
    job = Job(
        "unlearn", "tiny", Request("r", tuple(questions("Where was Ada Lind born?"))), KEPT, "idk + 2*klr",
        TrainConfig(probe_every=5, stop_at=rule), counterfactuals=1, probe=KEPT,
    )  # fmt: skip
    advise(job)
    assert f"{rule} is first met where utility is at its lowest" in capsys.readouterr().err
    advise(replace(job, counterfactuals=0))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("objective", "helps"), [("idk + 2*klr", True), ("dpo + gdr", True), ("ga + gdr", False)]
)
def test_questions_about_others_are_not_promised_to_help_where_they_did_not(capsys, objective, helps):
    told = said(capsys, questions("Where was Ada Lind born?"), objective, counterfactuals=1)
    assert ("nothing was seen to come back" in told) != helps
