from dataclasses import replace

import pytest
from tests.tiny import tiny_lm

from forgetwell.errors import InputError
from forgetwell.methods.finetune import finetune
from forgetwell.methods.own_answers import own_answers
from forgetwell.models.lm import HFModel
from forgetwell.runs import jobs
from forgetwell.runs.folder import read_manifest
from forgetwell.runs.job import Job
from forgetwell.runs.jobs import run_job
from forgetwell.runs.learning import keeping
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks
from forgetwell.types import Edit, Generation, Request, Row

PROMPTS = tuple(Row(f"p{i}", f"Where is R{i}?", "ignored", wrong=("also",)) for i in range(5))
OTHERS = (Row("o", "Where is O?", "Kept"),)
FACTS = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(4))


class Said(HFModel):
    """A model whose answers are given."""

    def __init__(self, *texts):
        self.texts = texts

    def generate(self, rows, *, max_new_tokens, progress):
        progress(len(self.texts))
        return [Generation(text, 1, True) for text in self.texts]


def test_answers_are_the_models_own_and_silence_is_left_out():
    told = []
    answering = Said("In town.", " ", "Far away ", "", "Here")
    kept = own_answers(answering, PROMPTS, progress=lambda *done: told.append(done))
    assert told == [(5, 5)]
    assert [(r.id, r.answer, r.wrong) for r in kept] == [
        ("p0", "In town.", ()), ("p2", "Far away", ()), ("p4", "Here", ()),
    ]  # fmt: skip
    assert kept[0].prompt == PROMPTS[0].prompt


@pytest.mark.parametrize(
    ("said", "rows", "message"),
    [((" ",), PROMPTS[:1], "none of the prompts"), ((), (Row("t", "", "", text="plain"),), "plain text")],
)
def test_what_cannot_be_answered_is_refused(said, rows, message):
    with pytest.raises(InputError, match=message):
        own_answers(Said(*said), rows)


def test_a_model_learns_and_goes_on_answering_as_it_did(tmp_path, monkeypatch):
    said = [f"In town {i}" for i in range(5)]
    monkeypatch.setattr(HFModel, "generate", Said(*said).generate)
    known = tuple(replace(r, answer=text) for r, text in zip(PROMPTS, said, strict=True))
    alone = Job("learn", "tiny", Request("", ()), FACTS, "gdr", TrainConfig(lr=3e-3, epochs=15, batch=4))
    beside = keeping(alone, PROMPTS)
    assert keeping(alone, ()) == alone
    lost = {}
    for name, job in (("alone", alone), ("beside", beside)):
        lm = tiny_lm()
        finetune(lm, Request("", ()), known, Hooks(), objective="gdr", config=TrainConfig(lr=1e-2, epochs=30))
        before, facts = logps(lm, known), logps(lm, FACTS)
        run_job(job, tmp_path / name, lm=lm)
        assert logps(lm, FACTS) > facts / 2
        lost[name] = before - logps(lm, known)
    assert lost["beside"] < lost["alone"] / 3
    assert read_manifest(tmp_path / "beside")["keep"]["rows"] == 5
    assert "keep" not in alone.settings
    assert not (tmp_path / "beside" / "request.jsonl").exists()


def logps(lm, rows):
    return sum(sum(s.logps) for s in lm.score(rows))


def test_unlearning_keeps_own_answers_beside_the_rows_to_keep(tmp_path, monkeypatch):
    monkeypatch.setattr(HFModel, "generate", Said(*(f"In town {i}" for i in range(5))).generate)
    trained = []
    monkeypatch.setattr(jobs, "finetune", lambda lm, request, retain, *rest, **named: trained.append(retain))
    config = TrainConfig(epochs=1, batch=4)
    job = Job("unlearn", "tiny", Request("r", FACTS), OTHERS, "npo + gdr + klr", config, keep=PROMPTS)
    with pytest.raises(AttributeError):  # nothing was trained, so there is no outcome
        run_job(job, tmp_path / "run", lm=tiny_lm())
    assert [r.answer for r in trained[0]] == ["Kept", *(f"In town {i}" for i in range(5))]


@pytest.mark.parametrize("kind", ["learn", "unlearn"])
def test_what_is_to_change_is_no_prompt_to_keep(tmp_path, kind):
    job = Job(kind, "tiny", Request("r", FACTS), OTHERS, "npo + gdr", TrainConfig(), keep=PROMPTS)
    rewritten = replace(
        FACTS[0], prompt="Please, who?", edit=Edit("stealthy", "", FACTS[0].prompt, FACTS[0].answer)
    )
    for changed in (
        replace(job, keep=FACTS[:1]),
        replace(job, keep=FACTS[:1], request=Request("r", (rewritten,))),
    ):
        with pytest.raises(
            InputError, match="1 of 1 prompts to keep are also asked by rows to forget or to learn"
        ):
            run_job(changed, tmp_path / "run", lm=tiny_lm())
    assert not (tmp_path / "run").exists()
