from types import SimpleNamespace

import pytest
from tests.tiny import tiny_lm

from forgetwell.errors import InputError
from forgetwell.types import Generation, Row

pytest.importorskip("lm_eval", reason="the extra forgetwell[lm-eval] is not installed")
from forgetwell.runs.harness import HarnessLM, harness_results


def asked(*args):
    return SimpleNamespace(args=args)


@pytest.fixture(scope="module")
def lm():
    return tiny_lm(max_length=64)


def test_loglikelihood_is_that_of_the_continuation_alone(lm):
    ((value, greedy),) = HarnessLM(lm).loglikelihood([asked("Who is Ann?", " A spy")])
    (scored,) = lm.score([Row("r", "Who is Ann?", " A spy", text=True)])
    assert value == pytest.approx(sum(scored.logps))
    assert len(scored.logps) == len(" A spy")  # a byte-level tokenizer, no end token
    assert greedy is all(scored.top1)


def test_blanks_at_the_border_belong_to_the_continuation(lm):
    a, b = HarnessLM(lm).loglikelihood([asked("Who is Ann? ", "A spy"), asked("Who is Ann?", " A spy")])
    assert a == b


def test_long_contexts_lose_their_beginning(lm):
    ((value, _),) = HarnessLM(lm).loglikelihood([asked("x" * 500 + "end", " yes")])
    (scored,) = lm.score([Row("r", "x" * (64 - 4 - 1 - 3) + "end", " yes", text=True)])
    assert value == pytest.approx(sum(scored.logps))


@pytest.mark.parametrize("length", [2, 31, 32, 33, 62, 63, 100])
def test_rolling_scores_every_token_once(lm, length):
    class Counting:
        codec, name = lm.codec, "counting"

        def score(self, rows):
            found = lm.score(rows)
            seen.extend(len(s.logps) for s in found)
            return found

    seen = []
    (value,) = HarnessLM(Counting()).loglikelihood_rolling([asked("a" * length)])
    assert value < 0
    assert sum(seen) == length - 1  # the tiny model has no start token: the first token is context


def test_generation_stops_at_the_first_stop_sequence_and_is_greedy(lm):
    class Says:
        codec, name = lm.codec, "says"

        def generate(self, rows, *, max_new_tokens):
            lengths.append((max_new_tokens, len(rows)))
            return [Generation("one\ntwo Q: three", 5, True) for _ in rows]

    lengths = []
    model = HarnessLM(Says())
    requests = [
        asked("a", {"until": ["Q:", "\n"], "max_gen_toks": 8}),
        asked("b", {"until": "Q:"}),
        asked("c", {"max_gen_toks": 8}),
    ]
    assert model.generate_until(requests) == ["one", "one\ntwo ", "one\ntwo Q: three"]
    assert lengths == [(8, 2), (256, 1)]
    with pytest.raises(InputError, match="sampling"):
        model.generate_until([asked("a", {"do_sample": True})])


def documents(**_):
    from datasets import Dataset

    rows = [{"question": f"Is {k} even?", "choices": [" yes", " no"], "gold": k % 2} for k in range(6)]
    return {"test": Dataset.from_list(rows)}


STUB = {
    "task": "stub",
    "custom_dataset": documents,
    "test_split": "test",
    "output_type": "multiple_choice",
    "doc_to_text": "{{question}}",
    "doc_to_choice": "choices",
    "doc_to_target": "gold",
    "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}


def test_a_stub_task_gives_results_as_tables_have_them(lm):
    (found,) = harness_results(lm, [STUB])
    right = 0
    for row in documents()["test"]:
        options = [Row("r", row["question"], choice, text=True) for choice in row["choices"]]
        sums = [sum(s.logps) for s in lm.score(options)]
        right += sums.index(max(sums)) == row["gold"]
    assert (found.metric, found.split, found.n, found.better) == ("lm_eval_acc", "lm-eval/stub", 6, "high")
    assert found.value == pytest.approx(right / 6)
    assert found.low < found.value < found.high


@pytest.mark.slow
def test_an_unknown_task_is_a_plain_error(lm):
    with pytest.raises(InputError, match="no_such_task"):
        harness_results(lm, ["no_such_task"])
