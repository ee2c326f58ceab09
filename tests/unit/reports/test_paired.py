import pytest
from tests.unit.reports.fakes import dump, facts, lines

from forgetwell.reports.loading import load_runs
from forgetwell.reports.paired import chance, clearly_less, difference, measured
from forgetwell.reports.verdict import judge
from forgetwell.types import Result


def run(folder, condition, values, *, split="utility/trigger", row_id="{}#0", people=99, **same):
    """Write a run whose rows have the values given by split; aggregates are too wide to tell runs apart."""
    folder.mkdir()
    rows = [
        {"split": where, "id": row_id.format(k), "subject": f"s{k % people}", "prompt": "q", "answer": "a",
         "generated": "g", "metrics": {"rouge_l_recall": v}} | same
        for where, found in values.items() for k, v in enumerate(found)
    ]  # fmt: skip
    count = len(rows)
    total = Result("", "rouge_l_recall", split, 0.5, 0.0, 1.0, count, "high")
    lines(folder / "answers.jsonl", rows)
    lines(folder / "results.jsonl", [{f: getattr(total, f) for f in Result.__slots__}])
    dump(folder / "evaluation.json", {"roles": {"x": "utility", "y": "utility", "forget": "forget"}})
    dump(folder / "manifest.json", facts(condition))
    (view,) = load_runs([folder])
    return measured(view, split)


def test_a_small_steady_difference_is_clear_though_rows_vary_widely(tmp_path):
    base = [0.1 * k for k in range(10)]
    a = run(tmp_path / "a", "attacked", {"x/trigger": base, "y/trigger": base})
    b = run(
        tmp_path / "b",
        "plain",
        {"x/trigger": [v + 0.05 for v in base], "y/trigger": [v + 0.03 for v in base]},
    )
    found = difference(b, a)
    assert abs(found.value - 0.04) < 1e-9
    assert clearly_less(a, b)
    assert not clearly_less(b, a)


def test_three_subjects_that_all_fell_are_not_clear_unless_their_questions_are(tmp_path):
    """Every resample of -.1, -.2, -.1 is below 0, but 2 of the 2^3 patterns of signs are as extreme: p = .25.

    Of two questions a subject, 2 of 2^6 are: p = 2/64.
    """
    for n, clear in ((3, False), (6, True)):
        a = run(tmp_path / f"a{n}", "attacked", {"x/trigger": [0.4, 0.3, 0.4] * (n // 3)}, people=3)
        b = run(tmp_path / f"b{n}", "plain", {"x/trigger": [0.5, 0.5, 0.5] * (n // 3)}, people=3)
        assert difference(a, b).high < 0
        assert clearly_less(a, b) is clear


def test_of_three_people_to_forget_questions_are_drawn_and_flipped(tmp_path):
    """One of three people is told in whole, by 8 questions of 24: a third, give or take .2."""
    told = [float(k % 3 == 0) for k in range(24)]
    a = run(
        tmp_path / "a", "plain", {"forget/clean": [0.0] * 24}, split="forget/clean", row_id="{}", people=3
    )
    b = run(tmp_path / "b", "before", {"forget/clean": told}, split="forget/clean", row_id="{}", people=3)
    found = difference(b, a)
    assert found.value == pytest.approx(1 / 3)
    assert 0.1 < found.low < found.high < 0.6
    assert chance(b, a).by == "question"


@pytest.mark.parametrize(("people", "said"), [(1, False), (3, True), (5, True), (6, False)])
def test_a_report_says_of_how_few_subjects_its_intervals_are(tmp_path, people, said):
    run(tmp_path / "a", "plain", {"x/trigger": [0.5] * 24}, people=people)
    (*_, last) = ("", *judge(load_runs([tmp_path / "a"])).warnings)
    assert (f"Few subjects (x {people})" in last) is said


def test_without_the_same_rows_intervals_decide(tmp_path):
    a = run(tmp_path / "a", "attacked", {"x/trigger": [0.0] * 5})
    b = run(tmp_path / "b", "plain", {"x/trigger": [1.0] * 6})
    assert difference(a, b) is None
    assert not clearly_less(a, b)


def test_forget_and_scope_rows_are_no_utility(tmp_path):
    a = run(tmp_path / "a", "plain", {"x/trigger": [0.5], "forget/trigger": [0.0]})
    assert a.rows == {}  # two rows were counted in the aggregate, one is known


def test_a_number_in_an_id_of_the_users_own_joins_no_rows(tmp_path):
    """Ten rows that all rose: of the 2^10 flips of their signs two are as extreme."""

    def changed(split, row_id, subject):
        a, b = (
            run(tmp_path / f"{split[0]}{subject}{value}", "plain", {split: [value] * 10}, split=split,
                row_id=row_id, subject=subject)
            for value in (0.5, 0.6)
        )  # fmt: skip
        return chance(b, a)

    for split, row_id in (("x/clean", "q#{}"), ("forget/served", "q#{}"), ("y/unseen", "q#{}#0")):
        found = changed(split, row_id, "")
        assert (found.p, found.by) == (2 / 1024, "subject")
    found = changed("x/clean", "q#{}", "one")  # its questions change sign, each on its own
    assert (found.p, found.by) == (2 / 1024, "question")
