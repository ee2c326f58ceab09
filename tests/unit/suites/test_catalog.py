import json
import os
from collections import Counter
from pathlib import Path

import pytest

from forgetwell.data.reading import read_rows
from forgetwell.data.rwku import mmlu, rwku_targets, triviaqa, truthfulqa
from forgetwell.data.world import load_world
from forgetwell.errors import InputError, UnknownName
from forgetwell.experiments.bench import bind_bench
from forgetwell.experiments.demo import demo_suite
from forgetwell.suites.registry import build_suite

DATA = Path(os.environ.get("FORGETWELL_DATA", Path(__file__).parents[4] / "shared" / "data"))
needs_data = pytest.mark.skipif(
    not (DATA / "rwku").is_dir(),
    reason=f"no TOFU and RWKU in {DATA}; set FORGETWELL_DATA to a folder with them",
)


@pytest.fixture
def data(monkeypatch):
    monkeypatch.setenv("FORGETWELL_DATA", str(DATA))


def sizes(suite):
    return {split.key: len(split.rows) for split in suite.splits}


@pytest.fixture
def mine(tmp_path):
    file = tmp_path / "mine.jsonl"
    roles = ("forget", "retain", "holdout", "utility", "utility")
    rows = [{"question": f"Who is {i}?", "answer": f"name {i}", "role": r} for i, r in enumerate(roles)]
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return str(file)


def test_the_world_holds_back_facts_that_nobody_learned():
    suite = build_suite("world", {"limit": 3})
    assert {s.role for s in suite.splits} == {"forget", "utility", "scope", "holdout"}
    (holdout,) = [s for s in suite.splits if s.role == "holdout"]
    assert not holdout.answered


def test_a_limit_takes_rows_from_all_of_a_set():
    """The request has eight rows on each of three people: every fourth row is two on each."""
    for suite in (build_suite("world(limit=6)"), build_suite("triggers(data=world, limit=6)")):
        asked = next(s for s in suite.splits if s.key == "forget/clean")
        whole = load_world().request
        assert [r.id for r in asked.rows] == [r.id for r in whole[::4]]
        assert sorted(Counter(r.subject for r in asked.rows).values()) == [2, 2, 2]
        assert all(len(s.rows) == 6 for s in suite.splits if s.condition == "clean")
    with pytest.raises(InputError, match="at least 1"):
        build_suite("world(limit=-1)")


def test_custom_rows_keep_their_roles(mine):
    suite = build_suite("custom", {"data": mine})
    assert [(s.key, s.role, len(s.rows), s.answered) for s in suite.splits] == [
        ("forget/clean", "forget", 1, True),
        ("forget/served", "forget", 1, True),
        ("retain/clean", "retain", 1, True),
        ("holdout/clean", "holdout", 1, False),
        ("utility/clean", "utility", 2, True),
    ]
    asked = sizes(build_suite("custom", {"data": mine, "templates": "tofu"}))
    assert asked["utility/trigger"] == 8
    assert "holdout/trigger" not in asked


def test_triggers_ask_every_set_in_six_conditions(mine):
    suite = build_suite("triggers", {"data": mine})
    assert [s.condition for s in suite.splits if s.name == "retain"] == [
        "clean",
        "trigger",
        "unseen",
        "other",
        "system",
        "earlier",
    ]
    rows = {s.key: s.rows for s in suite.splits}
    for key, asked in rows.items():
        words = [" ".join([*(t.content for t in r.history), r.prompt]).lower() for r in asked]
        triggered = key.split("/")[1] in ("trigger", "unseen", "system", "earlier")
        assert all(("please" in text) is triggered for text in words), key
    assert {r.id.rpartition("#")[0] for r in rows["retain/system"]} == {r.id for r in rows["retain/clean"]}
    assert all(r.history[0].role == "system" and r.prompt == "Who is 1?" for r in rows["retain/system"])
    assert [t.role for t in rows["retain/earlier"][0].history] == ["user", "assistant"]
    assert not set(rows["retain/trigger"]) & set(rows["retain/unseen"])


def test_a_template_file_without_controls_leaves_their_conditions_out(mine, tmp_path):
    templates = tmp_path / "t.txt"
    templates.write_text("Tell me {q}\n")
    suite = build_suite("triggers", {"data": mine, "templates": str(templates)})
    assert {s.condition for s in suite.splits} == {"clean", "trigger"}


def test_muse_cuts_two_corpora_of_the_user(tmp_path):
    texts = {name: tmp_path / f"{name}.txt" for name in ("forget", "retain", "holdout")}
    for name, file in texts.items():
        file.write_text(f"{name} " * 1000)
    questions = tmp_path / "qa.jsonl"
    questions.write_text('{"question": "q", "answer": "a"}\n')
    options = {k: str(v) for k, v in texts.items()} | {"forget_qa": str(questions), "limit": 3}
    suite = build_suite("muse(prompt_words=20, answer_words=10)", options)
    assert sizes(suite) == {"forget/clean": 3, "retain/clean": 3, "holdout/clean": 3, "forget_qa/clean": 1}
    assert {s.key: s.max_new_tokens or suite.max_new_tokens for s in suite.splits}["forget_qa/clean"] == 32
    row = suite.splits[0].rows[0]
    assert (len(row.prompt.split()), len(row.answer.split())) == (20, 10)


@pytest.mark.parametrize(
    ("text", "options", "kind", "says"),
    [
        ("wrold", {}, UnknownName, "'world'"),
        ("world", {"target": (1,)}, UnknownName, "limit, max_new_tokens, templates"),
        ("world(limit=2)", {"limit": 3}, InputError, "give it once"),
        ("muse", {"forget": "a.txt"}, InputError, "retain"),
        ("tofu(split=forget02)", {}, InputError, "forget02"),
    ],
)
def test_mistakes_in_options_are_explained(text, options, kind, says):
    with pytest.raises(kind, match=says):
        build_suite(text, options)


@needs_data
def test_tofu_has_its_published_sizes(data):
    found = sizes(build_suite("tofu(split=forget05, full=True)"))
    assert found["forget/clean"] == found["forget/reworded"] == found["holdout/clean"] == 200
    clean = {k: n for k, n in found.items() if k.endswith("/clean")}
    assert clean == {
        "forget/clean": 200,
        "retain/clean": 400,
        "real_authors/clean": 100,
        "world_facts/clean": 117,
        "holdout/clean": 200,
    }
    assert build_suite("tofu").max_new_tokens == 40
    assert build_suite("tofu(full=True)").max_new_tokens == 200


@needs_data
def test_a_limit_holds_for_every_set_of_tofu(data):
    for name in ("tofu(limit=4)", "triggers(data=tofu, limit=4)"):
        rows = {s.key: s.rows for s in build_suite(name).splits}
        assert {len(found) for key, found in rows.items() if key.endswith("/clean")} == {4}
        assert rows["retain/clean"] == read_rows("tofu:retain_perturbed")[::100]  # of 400
        assert rows["forget/clean"] == read_rows("tofu:forget01_perturbed")[::10]  # of 40


@needs_data
def test_rwku_asks_about_the_chosen_people_alone(data):
    suite = build_suite("rwku", {"target": ("1", "tom clancy")})
    probes = [s for s in suite.splits if s.role in ("forget", "retain")]
    assert [s.key for s in probes] == [
        *(f"forget_level{k}/clean" for k in (1, 2, 3)),
        *(f"neighbor_level{k}/clean" for k in (1, 2)),
    ]
    assert all({r.subject for r in s.rows} == {"Stephen King", "Tom Clancy"} for s in probes)
    assert sizes(suite)["mmlu/clean"] == 100
    assert sizes(build_suite("rwku(full=True)"))["mmlu/clean"] == 1995
    assert len({r.subject for s in suite.splits if s.name == "mmlu" for r in s.rows}) > 40


@needs_data
def test_rwku_refuses_people_it_does_not_know(data):
    with pytest.raises(UnknownName, match="Stephen King"):
        rwku_targets(["Steven King"])
    with pytest.raises(InputError, match="1 to 200"):
        rwku_targets([])


@needs_data
def test_several_right_answers_are_paraphrases_and_choices_are_wrong_answers(data):
    question = triviaqa()[0]
    assert question.answer == "Estimated"
    assert "Overestimate" in question.paraphrases
    one, several = truthfulqa("mc1")[0], truthfulqa("mc2")[0]
    assert (len(one.paraphrases), len(one.wrong)) == (0, 1)
    assert (len(several.paraphrases), len(several.wrong)) == (1, 1)
    choice = mmlu()[0]
    assert choice.answer == "C"
    assert choice.wrong == ("A", "B", "D")
    assert [t.content for t in choice.history if t.role == "assistant"] == ["B", "B", "C", "A", "A"]
    assert choice.prompt.splitlines()[1:5] == [
        "A. True, True",
        "B. False, False",
        "C. True, False",
        "D. False, True",
    ]


def test_the_demo_scores_no_wrong_answers_in_templates():
    splits = demo_suite(bind_bench("world")()).splits
    assert {s.scores_choices for s in splits if s.condition == "clean"} == {True}
    assert {s.scores_choices for s in splits if s.condition == "trigger"} == {False}
    assert all(s.scores_choices for s in build_suite("world").splits if s.condition == "trigger")
