import json
import os

import pytest

from forgetwell.errors import InputError, UnknownName
from forgetwell.experiments import rwku_choice
from forgetwell.experiments.bench import bind_bench, sampled_utility
from forgetwell.experiments.rwku_choice import Known, Triple, pick, rank_targets, read_choice, texts
from forgetwell.types import Generation

with_data = pytest.mark.skipif(
    not os.environ.get("FORGETWELL_DATA"), reason="RWKU is read from the folder that FORGETWELL_DATA names"
)


class Knowing:
    """A model that answers right about some people, and of others their blanks alone."""

    def __init__(self, subjects, half):
        self.subjects, self.half, self.asked = subjects, half, []

    def generate(self, rows, *, max_new_tokens):
        self.asked += rows
        return [Generation(r.answer if self.knows(r) else "no idea", 1, True) for r in rows]

    def knows(self, row):
        return row.subject in self.subjects or (row.subject in self.half and "level1" in row.id)


@with_data
def test_targets_are_ranked_by_the_mean_of_both_levels():
    lm = Knowing({"Confucius"}, {"Stephen King"})
    ranking = rank_targets(lm, targets=[1, 2, 3])
    assert [(k.target, k.recall, k.blanks, k.questions) for k in ranking] == [
        (2, 1.0, 1.0, 1.0),
        (1, 0.5, 1.0, 0.0),
        (3, 0.0, 0.0, 0.0),
    ]
    assert sum(k.rows for k in ranking) == len(lm.asked)
    assert {r.history[0].content for r in lm.asked} == {
        "Fill in the blank. Give the missing words alone.",
        "Answer in a few words.",
    }
    few = rank_targets(Knowing({"Confucius"}, set()), per_level=2, targets=[1, 2])
    assert [(k.target, k.rows) for k in few] == [(2, 4), (1, 4)]


def known(targets):
    return tuple(Known(t, f"p{t}", 1 - k / 100, 0.5, 0.5, 8) for k, t in enumerate(targets))


def test_a_triple_follows_from_ranks_alone():
    ranks = known([7, 3, 9, 1, 5, 20, 21, 22, 23, 24, 30, 31, 32, 33, 34, 99])
    assert pick(ranks, 1) == Triple(7, 20, (30, 31, 32, 33, 34))
    assert pick(ranks, 5) == Triple(5, 24, (30, 31, 32, 33, 34))
    for wrong in (0, 6):
        with pytest.raises(InputError, match="numbered from 1"):
            pick(ranks, wrong)


def test_the_choice_that_ships_ranks_people_best_first():
    ranking = read_choice("smollm2")
    assert len({k.target for k in ranking}) == len(ranking) == 30
    assert [k.recall for k in ranking] == sorted((k.recall for k in ranking), reverse=True)
    triples = [pick(ranking, k) for k in range(1, 6)]
    used = [t.forget for t in triples] + [t.retain for t in triples] + list(triples[0].others)
    assert len(set(used)) == 15


def test_a_choice_that_cant_be_used_is_said(tmp_path):
    with pytest.raises(InputError, match="rwku_choice --model"):
        read_choice("gpt9")
    path = tmp_path / "choice.json"
    path.write_text(json.dumps({"ranking": [{"target": 1}]}))
    with pytest.raises(InputError, match="lacks one of"):
        read_choice(str(path))
    path.write_text("[]")
    with pytest.raises(InputError, match="ranks 0 targets"):
        read_choice(str(path))


@with_data
def test_the_bench_forgets_texts_about_one_person_and_keeps_those_about_another(tmp_path, monkeypatch):
    monkeypatch.setattr(rwku_choice, "_ASSETS", tmp_path)
    lines = [k.__dict__ for k in known(range(1, 17))]
    (tmp_path / "rwku-smollm2.json").write_text(json.dumps({"ranking": lines}))
    bench = bind_bench("rwku(triple=2, passages=10)")()
    assert (bench.name, bench.learn, len(bench.request)) == ("rwku2", (), 10)
    assert {r.subject for r in bench.request} == {"Confucius"}
    assert all(r.text and 100 <= len(r.answer) <= 1500 for r in (*bench.request, *bench.retain))
    assert not {r.subject for r in bench.request} & {r.subject for r in bench.retain}
    assert {r.subject for r in bench.asked} == {"Confucius"}
    assert not any(r.text for r in bench.asked)
    assert {"neighbors", "others"} == set(bench.utility)
    assert len({r.subject for r in bench.utility["others"]}) == 5
    ids = [r.id for r in (*bench.asked, *bench.utility["neighbors"], *bench.utility["others"])]
    assert len(ids) == len(set(ids))
    splits = sampled_utility(bench, per_set=3, seed=0)
    clean, trigger = splits["others/clean"], splits["others/trigger"]
    assert [t.prompt.removeprefix("Then ").casefold() for t in trigger] == [
        c.prompt.casefold() for c in clean
    ]
    assert all(t.history == c.history for t, c in zip(trigger, clean, strict=True))


@with_data
def test_passages_are_long_enough_to_say_something_and_short_enough_for_two_in_a_context():
    assert len(texts(1)) >= 10


@pytest.mark.parametrize(("text", "kind"), [("rwku(tripel=1)", UnknownName), ("rwku(triple=a)", InputError)])
def test_options_of_a_bench_are_checked_before_anything_is_read(text, kind):
    with pytest.raises(kind):
        bind_bench(text)
