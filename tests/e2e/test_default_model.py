"""The real 135M default model, as `forgetwell fetch smollm2` put it into the cache."""

import pytest
import torch

from forgetwell.models.lm import load
from forgetwell.models.smollm2 import fetched
from forgetwell.types import Row

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(fetched() is None, reason="run `forgetwell fetch smollm2` first"),
]

ROWS = [
    Row("a", "Where is the Eiffel Tower?", "The Eiffel Tower is in Paris, France."),
    Row("b", "What is the capital of Australia?", "Canberra"),
    Row("c", "What is the capital of Australia?", "The capital of Australia is Sydney."),
]


@pytest.fixture(scope="module")
def lm():
    return load("smollm2", dtype="float32")


def test_packed_scores_equal_one_row_at_a_time_through_transformers(lm):
    assert lm.module.packs
    for row, scores in zip(ROWS, lm.score(ROWS), strict=True):
        encoded = lm.codec.encode(row)
        logps = torch.log_softmax(lm.module.network(torch.tensor([encoded.ids])).logits[0].double(), -1)
        expected = [logps[t - 1, encoded.ids[t]].item() for t in range(encoded.start, len(encoded.ids))]
        assert scores.logps == pytest.approx(expected, abs=1e-4)


def test_prompts_are_those_of_the_chat_template(lm):
    for row in ROWS:
        messages = [{"role": "user", "content": row.prompt}]
        expected = lm.codec.tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert lm.codec.encode_prompt(row) == tuple(expected)


def test_it_answers(lm):
    answers = [g.text for g in lm.generate(ROWS[:2], max_new_tokens=24)]
    assert "Paris" in answers[0]
    assert "Canberra" in answers[1]
