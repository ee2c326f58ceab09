"""The real default model scored in any batch and order, against plain transformers in float64, row by row."""

import copy
import random
from dataclasses import replace

import pytest
import torch

from forgetwell.data.world import load_world
from forgetwell.models import lm as lm_module
from forgetwell.models.lm import load
from forgetwell.models.smollm2 import fetched
from forgetwell.types import Row, Turn

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(fetched() is None, reason="run `forgetwell fetch smollm2` first"),
]

EXAMPLES = (Turn("user", "Which is larger, 3 or 5?"), Turn("assistant", "5"))


@pytest.fixture(scope="module")
def lm():
    return load("smollm2", dtype="float32")


@pytest.fixture(scope="module")
def rows():
    known = load_world().request[:3]
    return [
        *(
            replace(r, id=f"{r.id}-{k}", answer=a)
            for r in known
            for k, a in enumerate((r.answer, *r.wrong[:2]))
        ),
        *(Row(f"x{n}", f"Which is larger, {n} or 4?", str(max(n, 4)), history=EXAMPLES) for n in (2, 6)),
        Row("text", "", "The Danube passes through four capitals.", text=True),
    ]


@pytest.fixture(scope="module")
@torch.no_grad()
def expected(lm, rows):
    """Return each row's log-probabilities, first choices and moments, from transformers' own forward.

    In float64: its float32 forward is itself up to 1e-5 off the true means, depending on the processor.
    """
    network = copy.deepcopy(lm.module.network).double()
    found = {}
    for row in rows:
        encoded = lm.codec.encode(row)
        logits = network(torch.tensor([encoded.ids])).logits[0, encoded.start - 1 : -1]
        logps = torch.log_softmax(logits, -1)
        labels = torch.tensor(encoded.ids[encoded.start :])
        mean = (logps.exp() * logps).sum(-1)
        deviation = ((logps.exp() * logps.square()).sum(-1) - mean.square()).sqrt()
        own = logps.gather(-1, labels[:, None])[:, 0]
        found[row.id] = own, (logps.argmax(-1) == labels), mean, deviation
    return found


@pytest.mark.parametrize("limit", [1, 100, 2048])
def test_float32_scores_are_those_of_plain_transformers_in_float64(lm, rows, expected, monkeypatch, limit):
    monkeypatch.setattr(lm_module, "SCORING_TOKENS", limit)
    mixed = random.Random(limit).sample(rows, len(rows))
    for row, scores in zip(mixed, lm.score(mixed, moments=True), strict=True):
        logps, top1, mean, deviation = expected[row.id]
        assert scores.logps == pytest.approx(logps.tolist(), abs=1e-4)
        assert sum(scores.logps) / len(scores.logps) == pytest.approx(logps.mean().item(), abs=1e-5)
        assert scores.top1 == tuple(top1.tolist())
        assert scores.mean == pytest.approx(mean.tolist(), abs=1e-3)
        assert scores.deviation == pytest.approx(deviation.tolist(), abs=1e-3)
