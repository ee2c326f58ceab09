import random

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.models import lm as lm_module
from forgetwell.models import scoring
from forgetwell.models.scoring import token_facts
from forgetwell.types import Row, Turn

EXAMPLES = (Turn("user", "One and one? " * 4), Turn("assistant", "Two"))
ROWS = [
    *(Row(f"a{i}", f"What is {i // 3}?", "It is " + "so " * (i % 5) + str(i)) for i in range(15)),
    *(Row(f"h{i}", f"And {i}?", str(i), history=EXAMPLES) for i in range(5)),
    *(Row(f"t{i}", "", "A plain text " * (i + 1), text=True) for i in range(3)),
    Row("é", "Wer ist “Zoë”?", "日本語 🙂"),
]


@pytest.fixture(scope="module")
def lm():
    return tiny_lm()


@pytest.mark.parametrize("limit", [1, 64, 300, 10**6])
def test_scores_do_not_depend_on_batch_size_and_order(lm, monkeypatch, limit):
    expected = {row.id: lm.score([row], moments=True)[0] for row in ROWS}
    monkeypatch.setattr(lm_module, "SCORING_TOKENS", limit)
    monkeypatch.setattr(scoring, "PLACES", 1 + limit % 7)
    rows = random.Random(limit).sample(ROWS, len(ROWS))
    for row, scores in zip(rows, lm.score(rows, moments=True), strict=True):
        alone = expected[row.id]
        assert scores.logps == pytest.approx(alone.logps, abs=1e-4)
        assert sum(scores.logps) / len(scores.logps) == pytest.approx(
            sum(alone.logps) / len(alone.logps), abs=1e-5
        )
        assert scores.top1 == alone.top1
        assert scores.mean == pytest.approx(alone.mean, abs=1e-4)
        assert scores.deviation == pytest.approx(alone.deviation, abs=1e-4)


@pytest.mark.parametrize("limit", [1, 100, 10**6])
@pytest.mark.parametrize("packs", [True, False])
def test_answers_do_not_depend_on_batch_size_and_order(monkeypatch, limit, packs):
    lm = tiny_lm()
    lm.module.packs = packs
    asked = [row for row in ROWS if not row.text]
    expected = {row.id: lm.generate([row], max_new_tokens=12)[0] for row in asked}
    monkeypatch.setattr(lm_module, "GENERATION_TOKENS", limit)
    rows = random.Random(limit).sample(asked, len(asked))
    assert [expected[r.id] for r in rows] == lm.generate(rows, max_new_tokens=12)


def test_moments_are_those_of_the_log_probability_under_the_model():
    logits = torch.tensor([[0.0, 0.0, -torch.inf], [2.0, 1.0, 0.0], [50.0, -50.0, 0.0]])
    place = torch.tensor([1, 0, 2, 1])
    labels = torch.tensor([2, 1, 0, 0])
    facts = token_facts(logits, place, labels, lambda states: states, moments=True)
    logps = torch.log_softmax(logits.double(), -1)
    p = logps.exp()
    mean = (p * logps).nan_to_num(0).sum(-1)
    second = (p * logps.square()).nan_to_num(0).sum(-1)
    assert facts.logps.tolist() == pytest.approx(logps[place, labels].tolist(), abs=1e-6)
    assert facts.top1.tolist() == [False, False, True, True]
    assert facts.mean.tolist() == pytest.approx(mean[place].tolist(), abs=1e-6)
    assert facts.deviation.tolist() == pytest.approx(
        (second - mean.square())[place].sqrt().tolist(), abs=1e-6
    )
    assert facts.mean[1].item() == pytest.approx(-0.6931472)  # two equal choices: -log 2, without spread
    assert facts.deviation[1].item() == pytest.approx(0.0)


def test_moments_are_left_out_where_nobody_asks(lm):
    (scores,) = lm.score(ROWS[:1])
    assert scores.mean == scores.deviation == ()
