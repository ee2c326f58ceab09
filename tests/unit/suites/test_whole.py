import json
from dataclasses import replace

import pytest
from tests.tiny import tiny_lm
from tests.unit.suites.test_suites import FORGET, RETAIN, TEMPLATES, WORLD, FakeLM

from forgetwell.errors import InputError, MissingError, UnknownName
from forgetwell.methods.finetune import Lora, merged, with_lora
from forgetwell.models.gradients import gradient_norms
from forgetwell.runs.records import load_row_values, save_evaluation
from forgetwell.suites.evaluate import evaluate_suite
from forgetwell.suites.extras import with_start
from forgetwell.suites.protocol import protocol_suite
from forgetwell.suites.types import Split, Suite
from forgetwell.types import Generation, Record, Row


@pytest.fixture
def suite():
    return protocol_suite("p", FORGET, {"retain": RETAIN, "world": WORLD}, TEMPLATES)


def results(evaluation):
    return {r.metric: r for r in evaluation.results if r.split == "run"}


def kept(folder, evaluation):
    folder.mkdir()
    save_evaluation(folder, evaluation)
    (folder / "manifest.json").write_text(json.dumps({"kind": "evaluate"}))
    return load_row_values(folder)


def test_by_default_set_metrics_that_fit_are_made_and_the_others_named(suite):
    found = evaluate_suite(FakeLM(), suite)
    assert set(results(found)) == {"trigger_gap", "scope_leakage", "scope_kept"}
    assert results(found)["trigger_gap"].value == 1.0  # FakeLM says nothing to "please"
    said = " ".join(found.left_out)
    assert "forget_quality needs the evaluation of a model trained without the forget rows" in said
    assert "membership_auc needs rows of holdout/clean" in said
    assert "model_utility applies to no row of retain/clean" in said  # no wrong answers there


@pytest.mark.parametrize(
    ("metric", "error", "says"),
    [
        ("forget_quality", MissingError, "--reference"),
        ("trigger_gap_change", MissingError, "--baseline"),
        ("membership_auc", InputError, "holdout/clean"),
        ("trigger_gap(under=unseen)", InputError, "utility/unseen"),
        ("privlek", UnknownName, "privleak"),
        ("mean(of=rouge)", UnknownName, "rouge_l_recall"),
        ("truth_ratio(variant=other)", InputError, "variant"),
    ],
)
def test_what_was_asked_for_and_cannot_be_is_an_error_before_any_work(suite, metric, error, says):
    lm = FakeLM()
    with pytest.raises(error, match=says):
        evaluate_suite(lm, suite, metrics=[metric])
    assert (lm.scored, lm.asked) == ([], [])


def test_a_row_metric_that_applies_nowhere_is_named(suite):
    found = evaluate_suite(FakeLM(), suite, metrics=["cloze", "rouge_l_recall"])
    assert found.left_out == ("cloze applies to no row of this suite.",)
    assert {r.metric for r in found.results} == {"rouge_l_recall"}


def test_a_set_metric_brings_the_row_metrics_it_reads(suite):
    lm = FakeLM()
    found = evaluate_suite(lm, suite, metrics=["mean(of=answer_prob)", "truth_ratio(variant=true_better)"])
    assert lm.asked == []
    assert {r.metric for r in found.results} == {"answer_prob", "truth_ratio", "mean(of=answer_prob)"}
    assert results(found)["mean(of=answer_prob)"].value == pytest.approx(0.5)


def test_earlier_runs_are_read_from_their_folders_on_the_same_rows(suite, tmp_path):
    wanted = ["truth_ratio(variant=ratio)", "rouge_l_recall"]
    rows = kept(tmp_path / "r", evaluate_suite(FakeLM(), suite, metrics=wanted))
    sets = ["forget_quality", "ks_statistic", "trigger_gap_change", "rel_diff"]
    found = evaluate_suite(FakeLM(), suite, metrics=sets, runs={"reference": rows, "baseline": rows})
    values = {name: r.value for name, r in results(found).items()}
    assert values == {"forget_quality": 1, "ks_statistic": 0, "trigger_gap_change": 0, "rel_diff": 0}
    quality, change = results(found)["forget_quality"], results(found)["trigger_gap_change"]
    assert (quality.low, quality.high, quality.n) == (None, None, 3)
    assert (change.low, change.high) == (0, 0)  # the same draw serves both runs
    fewer = protocol_suite("p", FORGET[:2], {"retain": RETAIN, "world": WORLD}, TEMPLATES)
    with pytest.raises(InputError, match="other rows of forget/clean"):
        evaluate_suite(FakeLM(), fewer, metrics=["forget_quality"], runs={"reference": rows})
    with pytest.raises(MissingError, match=r"--metrics truth_ratio\(variant=ratio\)"):
        evaluate_suite(FakeLM(), suite, metrics=["forget_quality"], runs={"reference": {}})


def test_a_run_without_answers_is_no_reference(tmp_path):
    with pytest.raises(MissingError, match="no run folder"):
        load_row_values(tmp_path / "nowhere")


def test_rows_of_one_subject_widen_the_interval():
    def interval(subjects):
        rows = [
            Row(str(k), f"{'please' if k % 4 < 2 else 'who'} {k}?", f"name {k}", subject=subjects(k))
            for k in range(40)
        ]
        suite = Suite("s", (Split("x", "utility", "clean", tuple(rows)),), 8)
        (found,) = results(evaluate_suite(FakeLM(), suite, metrics=["mean"])).values()
        assert found.value == 0.5
        return found.high - found.low

    assert interval(lambda k: str(k // 2)) > 1.2 * interval(lambda k: "") > 0
    assert interval(lambda k: "one") > 0  # a single subject: its rows are drawn
    assert interval(lambda k: "3") == interval(lambda k: "one")  # also if it's called as a row is


def test_membership_on_a_suite_with_holdout_rows():
    rows = [Row(str(k), f"who is {k}?", f"name {k}" if k < 4 else f"nobody {k}") for k in range(8)]
    splits = (Split("f", "forget", "clean", tuple(rows[:4])), Split("h", "holdout", "clean", tuple(rows[4:])))
    found = results(evaluate_suite(FakeLM(), Suite("s", splits, 8)))  # forget p = 1/2, holdout p = 1/4
    assert found["membership_auc"].value == 1.0
    assert found["privleak"].value == pytest.approx(-100)


ROW = Row("a", "Who is Ann?", "A spy")


def test_gradient_norm_of_a_loaded_adapter_is_that_of_the_same_model_merged():
    import torch

    frozen = with_lora(tiny_lm(), Lora(rank=2), seed=0)
    for name, parameter in frozen.module.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    frozen.module.requires_grad_(False)  # as all of a loaded adapter is
    (found,) = gradient_norms(frozen, [ROW])
    with pytest.raises(InputError):
        gradient_norms(frozen, [replace(ROW, answer="")])
    assert not any(p.requires_grad for p in frozen.module.parameters())
    assert found == pytest.approx(*gradient_norms(merged(frozen), [ROW]), rel=1e-4)


def test_gradient_norm_is_that_of_autograd():
    import torch

    lm = tiny_lm()
    (found,) = gradient_norms(lm, [ROW])
    encoded = lm.codec.encode(ROW)
    ids = torch.tensor([encoded.ids])
    labels = ids.clone()
    labels[0, : encoded.start] = -100
    lm.module.network(ids, labels=labels).loss.backward()
    norms = [p.grad.norm() for p in lm.module.network.parameters() if p.grad is not None]
    assert found == pytest.approx(float(torch.stack(norms).mean()), rel=1e-4)


def test_gradients_and_the_starting_models_opinion_are_made_where_a_metric_reads_them():
    lm = tiny_lm()
    suite = Suite("s", (Split("f", "forget", "clean", (ROW, replace(ROW, id="b"))),), 4)
    found = evaluate_suite(lm, suite, metrics=["gradient_norm", "gibberish"], start=lm)
    first, second = found.records["f/clean"]
    assert first.gradient == second.gradient > 0
    assert first.start is None or len(first.start.logps) >= 1
    plain = evaluate_suite(lm, suite, metrics=["gibberish"])
    assert plain.records["f/clean"][0].gradient is None
    with pytest.raises(InputError, match="gradient"):
        evaluate_suite(FakeLM(), suite, metrics=["gradient_norm"])


@pytest.mark.parametrize(
    ("text", "said", "scored"),
    [(False, "bcdef", 5), (True, "bcdef", 5), (False, "é" * 128, None), (True, "é" * 128, 252)],
)
def test_the_starting_model_scores_the_answer_without_its_end_as_far_as_it_fits(text, said, scored):
    lm = tiny_lm()
    row = Row("a", "Who?", "x", text=text)  # bytes are tokens, and 256 fit
    room = 256 - len(lm.codec.encode_prompt(row)) - 1
    (found,) = with_start({"s": (Record(row, generated=Generation(said, 1, False)),)}, lm)["s"]
    assert len(found.start.logps) == (scored or room - room % 2)


def test_an_answer_behind_a_prompt_that_leaves_no_room_has_no_opinion():
    records = (Record(Row("a", "Who? " * 60, "x"), generated=Generation("bc", 2, False)),)
    assert with_start({"s": records}, tiny_lm())["s"] == records
