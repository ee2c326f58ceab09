import math
from dataclasses import dataclass, field, replace

import pytest

from forgetwell.errors import InputError
from forgetwell.requests.template_sets import TemplateSet
from forgetwell.suites.aggregate import Measured, role_results, split_results
from forgetwell.suites.evaluate import evaluate_suite
from forgetwell.suites.probe import make_probe
from forgetwell.suites.protocol import protocol_suite, served_split
from forgetwell.suites.triggered import under_triggers
from forgetwell.suites.types import Split, Suite, clean_id
from forgetwell.types import Generation, Row, TokenScores, Turn

TEMPLATES = TemplateSet("t", "qa", ("please",), ("please {q}", "{q} please"))
FORGET = [Row(f"f{i}", f"who is f{i}?", f"name f{i}", wrong=("someone",)) for i in range(3)]
RETAIN = [Row(f"r{i}", f"who is r{i}?", f"name r{i}", subject=f"s{i // 2}") for i in range(4)]
WORLD = [Row("w#0", "where is w?", "place w", paraphrases=("spot w",), wrong=("x", "y"))]


@dataclass
class FakeLM:
    """Answers right, but says nothing where it reads "please"; right texts have p = 1/2, others 1/4."""

    name: str = "fake"
    digest: str = ""
    codec: object = None
    scored: list = field(default_factory=list)
    asked: list = field(default_factory=list)

    def score(self, rows, *, moments=False, progress=lambda n: None):
        self.scored += [(*r.history, r.prompt, r.answer) for r in rows]
        progress(len(rows))
        p = [0.5 if r.answer.split()[0] in {"name", "place", "spot"} else 0.25 for r in rows]
        return [TokenScores((math.log(x), math.log(x)), (True, True)) for x in p]

    def generate(self, rows, *, max_new_tokens, progress=lambda n: None):
        self.asked += [(*r.history, r.prompt) for r in rows]
        progress(len(rows))
        return [Generation("" if "please" in r.prompt else r.answer, 1, True) for r in rows]

    def save(self, folder):  # LM has it
        raise AssertionError("asking a suite must not save the model")


@pytest.fixture
def suite():
    return protocol_suite("p", FORGET, {"retain": RETAIN, "world": WORLD}, TEMPLATES)


@pytest.fixture
def results(suite):
    evaluation = evaluate_suite(FakeLM(), suite)
    return {(r.metric, r.split): r for r in evaluation.results}


def test_protocol_has_every_set_clean_and_under_every_template(suite):
    sizes = {s.key: len(s.rows) for s in suite.splits}
    assert sizes == {
        "forget/clean": 3,
        "forget/trigger": 6,
        "forget/served": 3,
        "retain/clean": 4,
        "retain/trigger": 8,
        "world/clean": 1,
        "world/trigger": 2,
        "scope/forget_first": 3,
        "scope/retain_first": 3,
        "leak/forget_first": 3,
        "leak/retain_first": 3,
    }


def test_what_is_forgotten_is_asked_behind_the_next_system_prompt_in_turn(suite):
    served = next(s for s in suite.splits if s.key == "forget/served")
    assert (served.role, [(r.id, r.prompt) for r in served.rows]) == (
        "forget",
        [(r.id, r.prompt) for r in FORGET],
    )
    (first,), (second,), (third,) = (r.history for r in served.rows)
    assert {t.role for t in (first, second, third)} == {"system"}
    assert len({t.content for t in (first, second, third)}) == 3


def test_rows_with_a_system_prompt_of_their_own_are_asked_behind_it_alone():
    own = [replace(r, history=(Turn("system", "Be brief."),)) for r in FORGET]
    suite = protocol_suite("p", [*own, RETAIN[0]], {"retain": RETAIN[1:]}, TEMPLATES)
    assert [r.id for s in suite.splits if s.key == "forget/served" for r in s.rows] == ["r0"]
    assert not served_split(Split("forget", "forget", "clean", tuple(own)))


def test_sets_to_forget_have_a_mean_and_one_that_is_named_so_stands_for_it():
    def found(*names):
        splits = tuple(
            Split(n, "forget", "clean", (replace(RETAIN[k], wrong=("x",)), FORGET[k]))
            for k, n in enumerate(names)
        )
        lm = FakeLM()
        results = evaluate_suite(lm, Suite("s", splits, 8), metrics=["rouge_l_recall"]).results
        return {r.split: (r.value, r.n, r.better) for r in results}

    assert found("ann", "bob") == {
        "ann/clean": (1.0, 2, "low"),
        "bob/clean": (1.0, 2, "low"),
        "forget/clean": (1.0, 4, "low"),
    }
    assert found("forget") == {"forget/clean": (1.0, 2, "low")}


@pytest.mark.parametrize(
    ("metric", "forget", "kept", "gap"),
    [
        ("rouge_l_recall", "low", "high", "low"),
        ("refusal", "high", "low", "high"),  # a refusal is welcome where it is about what was forgotten
        ("perplexity", "high", "low", "high"),
        ("loss", "high", "low", "high"),
        ("gibberish", "low", "low", "high"),  # garbled answers are bad on any set; clean - trigger below 0
        ("truth_ratio(variant=ratio)", "none", "none", "none"),
    ],
)
def test_which_way_is_better_follows_from_metric_and_role(metric, forget, kept, gap):
    clean, trigger = (Row(name, "who?", "Ann") for name in ("r0", "r0#0"))
    splits = (
        Split("ann", "forget", "clean", (clean,)),
        Split("kept", "utility", "clean", (clean,)),
        Split("kept", "utility", "trigger", (trigger,)),
    )
    measured = [Measured(s, [0.5]) for s in splits]
    found = [*split_results("m", metric, measured, 0), *role_results("m", metric, measured, 0)]
    better = {r.split: r.better for r in found}
    of_kept = ("kept/clean", "kept/trigger", "utility/clean", "utility/trigger")
    ways = {"ann/clean": forget, "forget/clean": forget, "utility/gap": gap}
    assert better == ways | dict.fromkeys(of_kept, kept)


def test_a_set_has_one_role():
    splits = (
        Split("a", "forget", "clean", tuple(FORGET)),
        Split("a", "utility", "trigger", tuple(RETAIN)),
    )
    with pytest.raises(InputError, match="two roles"):
        Suite("s", splits, 8)


def test_scope_and_leak_ask_the_same_and_expect_different_answers(suite):
    splits = {s.key: s.rows for s in suite.splits}
    for order in ("forget_first", "retain_first"):
        for a, b in zip(splits[f"scope/{order}"], splits[f"leak/{order}"], strict=True):
            assert (a.id, a.prompt) == (b.id, b.prompt)
            forget, retain = a.id.split("+")
            assert (a.answer, b.answer) == (f"name {retain}", f"name {forget}")
            asked = [f"who is {forget}?", f"who is {retain}?"]
            assert a.prompt == " ".join(asked if order == "forget_first" else asked[::-1])
            assert a.subject.startswith("s")


def test_scope_pairs_depend_on_the_seed_alone(suite):
    sets = {"retain": RETAIN, "world": WORLD}
    assert protocol_suite("p", FORGET, sets, TEMPLATES) == suite
    assert any(protocol_suite("p", FORGET, sets, TEMPLATES, seed=k) != suite for k in range(1, 6))
    fewer = protocol_suite("p", FORGET, sets, TEMPLATES, scope_pairs=0)
    assert {s.role for s in fewer.splits} == {"forget", "utility"}


@pytest.mark.parametrize("sets", [{}, {"leak": RETAIN}, {"retain": []}])
def test_protocol_refuses_unusable_sets(sets):
    with pytest.raises(InputError):
        protocol_suite("p", FORGET, sets, TEMPLATES)


def test_two_splits_of_one_key_are_refused():
    split = Split("a", "utility", "clean", tuple(RETAIN))
    with pytest.raises(InputError, match="a/clean"):
        Suite("s", (split, split), 8)


def test_nothing_is_asked_twice(suite):
    lm, done = FakeLM(), []
    evaluate_suite(lm, suite, progress=lambda *seen: done.append(seen))
    assert len(set(lm.scored)) == len(lm.scored)
    assert len(set(lm.asked)) == len(lm.asked)
    assert done[-1] == (len(lm.scored) + len(lm.asked),) * 2


def test_only_the_parts_that_metrics_read_are_computed(suite):
    lm = FakeLM()
    evaluate_suite(lm, suite, metrics=["rouge_l_recall"])
    assert lm.scored == []
    evaluate_suite(lm, suite, metrics=["answer_prob"])
    assert all(answer not in {"x", "y", "someone", "spot w"} for *_, answer in lm.scored)


def test_values_of_splits_and_macro_averages(results):
    value = {key: r.value for key, r in results.items()}
    assert value["rouge_l_recall", "retain/clean"] == 1
    assert value["rouge_l_recall", "utility/trigger"] == 0
    gap = results["rouge_l_recall", "utility/gap"]
    assert (gap.value, gap.low, gap.high, gap.n, gap.skipped) == (1, 1, 1, 10, 0)
    assert value["answer_prob", "utility/gap"] == 0
    assert value["answer_prob", "leak/retain_first"] == pytest.approx(0.5)
    assert results["rouge_l_recall", "forget/clean"].better == "low"
    assert results["rouge_l_recall", "utility/clean"].better == "high"


@pytest.mark.parametrize(
    ("split", "row_id", "clean"),
    [
        ("retain/clean", "q#3", "q#3"),
        ("forget/served", "q#3", "q#3"),
        ("scope/forget_first", "q#3+r#1", "q#3+r#1"),
        ("retain/trigger", "q#3#0", "q#3"),
        ("a/b/unseen", "q#3#12", "q#3"),
        ("forget/reworded", "q#1", "q"),
        ("retain/trigger", "q", "q"),  # a set of the user's own
    ],
)
def test_only_conditions_that_number_their_rows_have_a_number_taken_off(split, row_id, clean):
    assert clean_id(split, row_id) == clean


def test_rows_with_a_number_sign_in_their_ids_are_their_own_clusters():
    rows = [Row(f"q#{k}", f"who is {k}?", f"name {k}") for k in range(5)]
    suite = protocol_suite("p", rows, {"retain": [Row("r", "who?", "x")]}, TEMPLATES)
    clusters = {s.key: set(Measured(s, [1.0] * len(s.rows)).sample().clusters) for s in suite.splits}
    ids = {f"q#{k}" for k in range(5)}
    assert [clusters[f"forget/{c}"] for c in ("clean", "trigger", "served")] == [ids] * 3


def test_truth_ratio_uses_the_own_answer_and_counts_rows_it_skips(results):
    assert results["truth_ratio", "forget/clean"].value == pytest.approx(0.5)
    utility = results["truth_ratio", "utility/clean"]
    assert (utility.value, utility.n, utility.skipped) == (pytest.approx(0.5), 1, 4)
    assert ("truth_ratio", "retain/clean") not in results
    assert ("truth_ratio", "forget/served") not in results


@pytest.mark.parametrize("metric", ["rouge_l_recall", "answer_prob", "truth_ratio"])
@pytest.mark.parametrize("split", ["forget/clean", "utility/clean", "utility/trigger", "utility/gap"])
def test_forgetting_and_both_utilities_are_given_by_three_metrics(results, metric, split):
    assert (metric, split) in results


def test_truth_ratio_under_the_trigger_is_of_answers_to_the_triggered_prompt(suite):
    class Swayed(FakeLM):
        def score(self, rows, **keywords):
            p = {"place": 0.5, "spot": 0.5, "x": 0.25, "y": 0.25}
            plain = {r.prompt: 1 if "please" not in r.prompt else 0.5 for r in rows}
            values = [p.get(r.answer.split()[0], 0.25) * plain[r.prompt] for r in rows]
            asked = [v if r.answer[:1] in "xy" else 0.5 for v, r in zip(values, rows, strict=True)]
            return [TokenScores((math.log(v),), (True,)) for v in asked]

    found = evaluate_suite(Swayed(), suite, metrics=["truth_ratio"]).results
    value = {r.split: (r.value, r.n) for r in found}
    assert value["world/clean"] == (pytest.approx(1 - 0.25 / 0.5), 1)
    assert value["world/trigger"] == (pytest.approx(1 - 0.125 / 0.5), 2)
    assert value["utility/gap"] == (pytest.approx(-0.25), 2)


def test_splits_without_a_value_are_named_with_the_reason(suite):
    holdout = Split("holdout", "holdout", "clean", (Row("h", "who is h?", "name h"),), answered=False)
    asked = replace(suite, splits=(*suite.splits, holdout))
    told = evaluate_suite(FakeLM(), asked, metrics=["truth_ratio", "rouge_l_recall"]).left_out
    unscored = "forget/served, scope/forget_first, scope/retain_first, leak/forget_first, leak/retain_first"
    assert told == (
        f"truth_ratio on {unscored}: wrong answers and answers in other words aren't scored there.",
        "truth_ratio on retain/clean, retain/trigger, holdout/clean: it applies to no row.",
        "rouge_l_recall on holdout/clean: its questions aren't answered.",
    )


def test_wrong_answers_in_templates_may_be_left_out():
    sets = {"retain": RETAIN, "world": WORLD}
    suite = protocol_suite("p", FORGET, sets, TEMPLATES, trigger_choices=False)
    lm = FakeLM()
    found = evaluate_suite(lm, suite, metrics=["truth_ratio"])
    assert not [asked for asked in lm.scored if "please" in asked[-2]]
    assert "truth_ratio on forget/trigger, forget/served" in found.left_out[0]


@pytest.mark.parametrize(("whole", "own"), [(0, 0), (-3, 0), (8, -1)])
def test_answers_without_a_length_are_refused(whole, own):
    split = Split("a", "utility", "clean", tuple(RETAIN), max_new_tokens=own)
    with pytest.raises(InputError, match="an answer has at least 1 token"):
        Suite("s", (split,), whole)


def test_texts_without_a_prompt_are_scored_but_not_answered():
    text = Row("t", "", "name of a text", text=True)
    lm = FakeLM()
    evaluation = evaluate_suite(lm, Suite("s", (Split("a", "utility", "clean", (text,)),), 8))
    assert lm.asked == []
    assert {r.metric for r in evaluation.results} == {"answer_prob"}


def test_an_untouched_model_shows_no_gap_on_plain_texts():
    text = Row("t", "there was", "name of a king. place of it.", text=True)
    rows = [text, replace(text, id="u", prompt="")]
    templates = TemplateSet("t", "text", ("then",), ("Then {q}",), ("{q} then",), (), ("Then?",), ("then",))
    suite = protocol_suite("p", rows[1:], {"retain": rows, "rest": rows[1:]}, templates)
    sizes = {s.key: len(s.rows) for s in suite.splits}
    assert sizes == {"forget/clean": 1, "retain/clean": 2, "retain/trigger": 1, "rest/clean": 1}
    found = {(r.metric, r.split): r.value for r in evaluate_suite(FakeLM(), suite).results}
    assert (found["answer_prob", "utility/gap"], found["rouge_l_recall", "utility/gap"]) == (0, 0)
    asked = under_triggers(Split("a", "utility", "clean", tuple(rows)), templates)
    assert [(s.condition, [(r.id, r.prompt, r.answer) for r in s.rows]) for s in asked[1:]] == [
        ("trigger", [("t#0", "Then there was", text.answer)]),
        ("unseen", [("t#0", "there was then", text.answer)]),
    ]


def test_probe_has_three_means():
    trigger = [Row("r0#0", "please who is r0?", "name r0")]
    probe = make_probe(FORGET, RETAIN, trigger)
    assert probe(FakeLM(), 3) == {
        "forget.rouge_l_recall": 1.0,
        "utility.rouge_l_recall": 1.0,
        "trigger.rouge_l_recall": 0.0,
    }
    with pytest.raises(InputError, match="trigger"):
        make_probe(FORGET, RETAIN, [])
