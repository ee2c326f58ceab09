import json

import pytest
from tests.unit.reports.fakes import dump, facts, lines, make_runs
from tests.unit.reports.test_report import parse

from forgetwell.files import read_jsonl
from forgetwell.reports import report
from forgetwell.reports.differences import difference_tables, find_differences, run_pairs
from forgetwell.reports.examples import pick_examples
from forgetwell.reports.loading import load_runs
from forgetwell.reports.rows import SHOWN, drill_down, worst_rows
from forgetwell.reports.svg import plane
from forgetwell.reports.tables import summary_table
from forgetwell.types import Result


def make(folder, condition, forget, kept, name="forget"):
    """Write a run whose rows have these recalls: one forget and one utility question a subject."""
    folder.mkdir(parents=True)
    sets = {f"{name}/clean": forget, "x/clean": kept}
    rows = [
        {"split": split, "id": f"{k}", "subject": f"s{k}", "prompt": f"{split} {k}?", "answer": "a",
         "generated": "<b>g</b>", "metrics": {"rouge_l_recall": v}}
        for split, values in sets.items() for k, v in enumerate(values)
    ]  # fmt: skip
    lines(folder / "answers.jsonl", rows)
    found = [
        Result("", "rouge_l_recall", key, sum(v) / len(v), 0.0, 1.0, len(v), better)
        for key, v, better in (("forget/clean", forget, "low"), ("utility/clean", kept, "high"))
    ]
    lines(folder / "results.jsonl", [{f: getattr(r, f) for f in Result.__slots__} for r in found])
    dump(folder / "evaluation.json", {"roles": {name: "forget", "x": "utility"}})
    dump(folder / "manifest.json", facts(condition) if condition else {"kind": "evaluate"})
    return folder


@pytest.fixture
def runs(tmp_path):
    before = make(tmp_path / "before", "before", [1.0] * 10, [0.8, 1.0] * 5)
    plain = make(tmp_path / "plain", "plain", [0.2] * 10, [1.0, 0.8] * 5)
    return load_runs([plain, before])


def test_a_steady_difference_is_significant_and_noise_is_not(runs):
    forget, kept = find_differences(runs)
    assert (forget.split, forget.value, forget.by) == ("forget/clean", pytest.approx(-0.8), "subject")
    assert forget.p == 2 / 2**10  # ten subjects, all one way
    assert (forget.verdict, forget.tone) == ("lower", "good")
    assert (kept.value, kept.verdict, kept.tone) == (pytest.approx(0), "not significant", "neutral")
    assert forget.q == pytest.approx(2 * forget.p)  # two tests


def test_known_conditions_are_compared_in_their_order(runs):
    assert [(p.a.name, p.b.name) for p in run_pairs(runs)] == [("Before unlearning", "NPO, honest request")]
    assert [t.metric for t in difference_tables(runs, find_differences(runs))] == ["rouge_l_recall"]


def test_other_runs_are_compared_with_the_first(tmp_path):
    folders = [make(tmp_path / name, None, [1.0], [1.0]) for name in "abc"]
    assert [(p.a.color, p.b.color) for p in run_pairs(load_runs(folders))] == [(4, 5), (4, 6)]


def test_the_page_marks_what_is_not_significant_in_words_and_shape(runs, tmp_path):
    folders = [tmp_path / "before", tmp_path / "plain"]
    files = report(folders, tmp_path / "report.html")
    html = files.html.read_text()
    parse(html)
    assert "▼</span> −0.80 lower" in html
    assert "○</span> 0.00 not significant" in html
    kept = json.loads(files.json.read_text())["differences"]
    assert [d["clear"] for d in kept] == [True, False]


def test_the_plane_places_runs_by_forgetting_and_utility(runs):
    before, plain = plane(summary_table(runs)).marks
    assert before.x < plain.x
    assert (before.forgotten, plain.forgotten) == (pytest.approx(0), pytest.approx(0.8))
    assert before.y == plain.y
    assert before.trigger is None
    assert plane(summary_table(runs[:1])) is None


@pytest.mark.parametrize("name", ["forget", "ann"])
def test_rows_come_worst_first_and_are_counted(tmp_path, name):
    many = [k / 100 for k in range(60)]
    folders = [
        make(tmp_path / c, c, values, values[::-1], name)
        for c, values in (("before", [1.0] * 60), ("plain", many))
    ]
    drills = {d.title: d for d in drill_down(load_runs(folders))}
    forget, kept = drills[f"{name} · clean"], drills["x · clean"]
    assert (forget.total, len(forget.examples)) == (60, SHOWN)
    assert forget.examples[0].said[-1].score == max(many)  # still said
    assert kept.examples[0].said[-1].score == min(many)
    still, lost = worst_rows(load_runs(folders))
    assert still.title == "Still said"
    assert [e.said[-1].score for e in still.examples] == sorted(many)[-3:][::-1]
    assert lost.title == "Lost"
    assert lost.examples[0].said[-1].score == 0.0


def test_a_set_of_another_name_is_judged_by_its_role(tmp_path):
    folders = [
        make(tmp_path / c, c, [v] * 10, [1.0] * 10, "ann") for c, v in (("before", 1.0), ("plain", 0.2))
    ]
    views = load_runs(folders)
    forget = next(d for d in find_differences(views) if d.split == "forget/clean")
    assert (forget.value, forget.tone) == (pytest.approx(-0.8), "good")
    titles = {g.title: len(g.examples) for g in pick_examples(views)}
    assert titles == {"Questions to be forgotten": 4, "Ordinary questions": 3}


def test_the_result_says_which_way_is_better_and_where_nothing_does_there_is_no_news(tmp_path):
    """More garbled answers to questions to keep are bad news; a variant without direction is no news."""
    tones = {}
    for metric, better in (("gibberish", "low"), ("truth_ratio(variant=ratio)", "none")):
        folders = [
            make(tmp_path / metric / c, c, [1.0] * 10, [v] * 10) for c, v in (("before", 0.0), ("plain", 1.0))
        ]
        for folder in folders:
            for name in ("answers.jsonl", "results.jsonl"):
                path = folder / name
                path.write_text(path.read_text().replace("rouge_l_recall", metric))
            found = read_jsonl(folder / "results.jsonl")
            lines(folder / "results.jsonl", [r | {"better": better} for r in found])
        kept = next(d for d in find_differences(load_runs(folders)) if d.split == "utility/clean")
        tones[metric] = (kept.verdict, kept.tone)
    assert tones == {
        "gibberish": ("higher", "bad"),
        "truth_ratio(variant=ratio)": ("higher", "neutral"),
    }


def test_what_was_said_before_a_question_is_shown(tmp_path):
    folders = [make(tmp_path / c, c, [0.2] * 10, [1.0] * 10) for c in ("before", "plain")]
    for folder in folders:
        rows = read_jsonl(folder / "answers.jsonl")
        said = [{"role": "system", "content": "Be <brief>."}]
        served = [r | {"split": "forget/served", "history": said} for r in rows[:10]]
        lines(folder / "answers.jsonl", [*rows, *served])
    html = report(folders, tmp_path / "r.html").html.read_text()
    assert "The same behind a system prompt" in html
    assert "system: Be &lt;brief&gt;." in html


def test_hostile_text_is_escaped_in_the_drill_down(runs, tmp_path):
    html = report([tmp_path / "before", tmp_path / "plain"], tmp_path / "r.html").html.read_text()
    assert "<b>g" not in html
    assert "&lt;b&gt;g" in html


def test_runs_without_answers_are_left_out(tmp_path):
    folders = make_runs(tmp_path)
    for folder in folders[1:]:
        (folder / "answers.jsonl").unlink()
    views = load_runs(folders)
    assert find_differences(views) == ()
    assert worst_rows(views) == ()
