"""Benches: rows of one's own, and names that keep unlike ones apart."""

import re
from dataclasses import replace

import pytest
from tests.tiny import tiny_lm
from tests.toy import BENCH, bar, rows

from forgetwell.data.row_files import write_rows
from forgetwell.errors import InputError, MissingError, UnknownName
from forgetwell.experiments import grid
from forgetwell.experiments.bench import BENCHES, bench_label, bind_bench
from forgetwell.experiments.claims import Run, Setup
from forgetwell.experiments.plan import Comparison, Plan, read_plan
from forgetwell.training.config import TrainConfig
from forgetwell.types import Row


def test_more_people_of_the_world_are_learned_and_asked_about():
    plain, more = bind_bench("world")(), bind_bench("world(more=8)")()
    people = {name: {r.subject for r in rows} for name, rows in more.utility.items() if name != "general"}
    assert {name: len(found) for name, found in people.items()} == {"retain": 9, "unseen": 8}
    assert len({r.subject for r in more.others}) == 4
    assert not people["retain"] & people["unseen"]
    assert not {r.subject for r in more.others} & (people["retain"] | people["unseen"])
    learned = {r.subject for r in more.learn if r.id.endswith("~0")}
    assert learned == people["retain"] | people["unseen"] | {r.subject for r in more.request}
    assert more.request == plain.request
    assert set(plain.utility["retain"]) < set(more.utility["retain"]) <= set(more.retain)
    assert more.digest != plain.digest
    with pytest.raises(InputError, match="of 12 further people"):
        bind_bench("world(more=12)")()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, count in (("request", 3), ("keep", 4), ("more", 2), ("learn", 5)):
        write_rows(tmp_path / f"{name}.jsonl", rows(name, count))
    write_rows(tmp_path / "texts.jsonl", (Row("t", "", "Ada was born in Oslo.", text=True),))
    return tmp_path


def test_files_are_read_into_a_bench(folder):
    text = (
        "files(request='request.jsonl', retain=['keep.jsonl', 'world:retain'], learn=['learn.jsonl'], "
        "utility=['keep.jsonl', 'world:evaluation'], lr=1e-4, epochs=2, batch=4, max_new_tokens=9)"
    )
    bench = bind_bench(text)()
    assert [r.id for r in bench.request] == ["request0", "request1", "request2"]
    assert (len(bench.retain), len(bench.learn)) == (44, 5)
    assert {name: len(rows) for name, rows in bench.utility.items()} == {"keep": 4, "world-evaluation": 77}
    assert bench.learning == TrainConfig(lr=1e-4, epochs=2, batch=4)
    assert bench.max_new_tokens == 9


def test_plain_text_is_forgotten_with_questions_about_it(folder):
    bench = bind_bench(
        "files(request='texts.jsonl', questions=['request.jsonl'], retain=['keep.jsonl'], "
        "utility=['more.jsonl'])"
    )()
    assert bench.request[0].text
    assert bench.asked == bench.questions != ()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ("utility=['gone.jsonl']", MissingError, "gone"),
        ("utility=[]", InputError, r"utility=\[\] was given"),
        ("utility=['keep.jsonl', './keep.jsonl']", InputError, "each of another name"),
        ("utility=['texts.jsonl']", InputError, "texts holds plain text"),
        ("utility='keep.jsonl'", InputError, r"utility='keep.jsonl'\): expected a list, got 'keep.jsonl'"),
        ("utility=['keep.jsonl'], retaim=['x']", UnknownName, "Did you mean 'retain'"),
    ],
)
def test_what_can_t_be_used_is_said(folder, arguments, error, message):
    with pytest.raises(error, match=message):
        bind_bench(f"files(request='request.jsonl', retain=['keep.jsonl'], {arguments})")()
    with pytest.raises(InputError, match="files needs request="):
        bind_bench("files(retain=['keep.jsonl'])")


def test_text_without_questions_can_t_be_measured(folder):
    with pytest.raises(InputError, match=r"texts\.jsonl holds plain text, which can't be asked"):
        bind_bench("files(request='texts.jsonl', retain=['keep.jsonl'], utility=['more.jsonl'])")()


def test_a_label_names_a_bench_in_folders():
    assert bench_label("world") == "world"
    labels = {bench_label(f"files(request='{name}')") for name in ("a/b.jsonl", "a/c.jsonl")}
    assert len(labels) == 2
    assert all(re.fullmatch(r"files-[0-9a-f]{8}", label) for label in labels)
    assert bench_label("world(epochs=2,keep=True)") == bench_label("world(epochs=2, keep = True)")


def test_a_plan_on_files_has_a_folder_that_can_be_made(folder):
    (folder / "mine.toml").write_text(
        "bench = \"files(request='request.jsonl', retain=['keep.jsonl'], utility=['more.jsonl'])\"\n"
        "[conditions.plain]\nobjective = 'npo + gdr'\n"
    )
    (comparison,) = read_plan("mine.toml").comparisons
    assert re.fullmatch(r"files-[0-9a-f]{8}", comparison.name)


def test_benches_that_learn_other_rows_start_from_models_of_their_own(tmp_path, monkeypatch):
    """They have one name: until they were told apart, the second one's start replaced the first one's."""
    tiny_lm().save(tmp_path / "tiny")
    monkeypatch.setattr(BENCHES, "_items", dict(BENCHES._items))

    def taught(*, count: int = 2):
        """Return toys that a model learns."""
        return replace(BENCH, learn=rows("l", count), learning=TrainConfig(max_steps=1, batch=2))

    BENCHES.add(taught)
    setup = Setup(config=TrainConfig(epochs=1, batch=2), per_set=1, floor=0.0)
    plan = Plan(
        "p",
        "",
        0.0,
        tuple(
            Comparison(
                f"n={n}", f"taught(count={n})", str(tmp_path / "tiny"), setup, (Run("plain", 0, "", "gdr"),)
            )
            for n in (2, 3)
        ),
    )
    grid.run_plan(plan, tmp_path / "out", say=print, bar=bar)
    starts = sorted(path.name for path in (tmp_path / "out").glob("known *"))
    assert len(starts) == 2
