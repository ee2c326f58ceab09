"""The request on its way to unlearning: attack, screen, repair, and the questions that carry the trigger."""

from dataclasses import replace

import pytest
from tests.tiny import tiny_lm

from forgetwell.errors import InputError
from forgetwell.experiments.bench import sampled_utility
from forgetwell.experiments.benches.world import world
from forgetwell.experiments.receiving import receive
from forgetwell.models.lm import HFModel
from forgetwell.requests.attacks import ATTACKS, attack_request
from forgetwell.requests.counterfactual import counterfactual_prompts
from forgetwell.requests.wording import as_attacked
from forgetwell.types import Generation, Request

BENCH = world()
PROMPTS = [row.prompt for row in BENCH.request]
WORDING = sorted(set(ATTACKS.names()) - {"smuggle", "unknown_rows", "blending"})


def test_the_honest_request_passes_as_it_is():
    got = receive(BENCH, tiny_lm(), repairs=["strip"])
    assert got.request.rows == BENCH.request
    assert got.retain == BENCH.retain
    assert got.facts == {"rows": 24, "rewritten": 0, "repaired": 0, "repaired_rewritten": 0}


@pytest.mark.parametrize("attack", ["stealthy", "synonyms", "paraphrased", "foreign_frame", "punctuation"])
@pytest.mark.parametrize("p", [0.1, 0.67])
def test_a_request_asked_bare_is_the_honest_one_to_the_letter(attack, p):
    for seed in range(5):
        bare = receive(BENCH, tiny_lm(), attack=f"{attack}(p={p})", repairs=["bare"], seed=seed)
        assert bare.facts["repaired_rewritten"] == bare.facts["rewritten"]
        assert tuple(replace(row, edit=None) for row in bare.request.rows) == BENCH.request
        assert bare.retain == BENCH.retain


def test_prompts_to_keep_come_with_the_models_own_answers(monkeypatch):
    def says(lm, rows, **_):
        return [Generation(f"of {row.id}", 2, True) for row in rows]

    monkeypatch.setattr(HFModel, "generate", says)
    bench = replace(BENCH, retain=BENCH.retain[:40], keep=BENCH.retain[40:43])
    got = receive(bench, tiny_lm()).retain
    assert got[:40] == bench.retain
    assert [(r.prompt, r.answer) for r in got[40:]] == [(r.prompt, f"of {r.id}") for r in bench.keep]


def test_what_is_left_of_a_request_is_asked_about_others(monkeypatch):
    monkeypatch.setattr(HFModel, "generate", lambda lm, rows, **_: [Generation("So.", 2, True) for _ in rows])
    got = receive(BENCH, tiny_lm(), attack="stealthy(p=0.67)", repairs=["bare"], counterfactuals=2, seed=4)
    others = counterfactual_prompts(got.request, BENCH.retain, per_row=2, seed=4)
    assert got.retain == (*BENCH.retain, *[replace(row, answer="So.") for row in others] * 2)
    assert len(others) == 2 * len(BENCH.request) < len(BENCH.retain)
    assert not any("please" in row.prompt.lower() for row in others)


@pytest.mark.parametrize("seed", [0, 1])
def test_strip_gives_the_papers_attack_back_as_it_was(seed):
    attacked = receive(BENCH, tiny_lm(), attack="stealthy(p=0.33)", seed=seed)
    assert [r.prompt for r in attacked.request.rows] != PROMPTS
    got = receive(BENCH, tiny_lm(), attack="stealthy(p=0.33)", repairs=["strip"], seed=seed)
    assert [r.prompt for r in got.request.rows] == PROMPTS
    assert got.facts["repaired_rewritten"] == got.facts["rewritten"] > 3


def test_bare_takes_what_strip_has_left():
    attack = "stealthy(p=0.1)"  # seed 1 rewrites 2 rows: too few for screens
    strip = receive(BENCH, tiny_lm(), attack=attack, repairs=["strip"], seed=1)
    both = receive(BENCH, tiny_lm(), attack=attack, repairs=["strip", "bare"], seed=1)
    assert [r.prompt for r in strip.request.rows] != PROMPTS
    assert [r.prompt for r in both.request.rows] == PROMPTS
    assert both.request.history[-2:] == ("strip", "bare")


def test_high_loss_removal_drops_its_share_whatever_was_rewritten():
    got = receive(BENCH, tiny_lm(), attack="stealthy", repairs=["drop"], screens=["high_loss(share=0.25)"])
    assert (len(got.request.rows), got.facts["repaired"]) == (18, 6)


def test_the_background_holds_no_row_that_is_forgotten_or_held_back_for_utility():
    known = {(r.prompt, r.answer) for r in BENCH.background}
    kept = {(r.prompt, r.answer) for r in BENCH.retain}
    assert not known & {(r.prompt, r.answer) for r in BENCH.request}
    assert known & {(r.prompt, r.answer) for rows in BENCH.utility.values() for r in rows} <= kept


@pytest.mark.parametrize("name", WORDING)
def test_trigger_questions_are_worded_as_the_request_was(name):
    rows, request = BENCH.retain[:3], Request("r", BENCH.request)
    asked = as_attacked(rows, request, name, seed=5)
    per_row = len(asked) // 3
    assert [r.id for r in asked] == [f"{r.id}#{k}" for r in rows for k in range(per_row)]
    assert 1 <= per_row <= 4
    assert all(
        (r.prompt, r.history) != (row.prompt, row.history)
        for row, k in zip(rows, (0, per_row, 2 * per_row), strict=True)
        for r in asked[k : k + per_row]
    )
    assert [r.answer for r in asked[::per_row]] == [r.answer for r in rows]
    assert asked == as_attacked(rows, request, name, seed=5)
    if per_row > 1:  # phrasings: all of them are in the request
        used = {r.edit.template for r in attack_request(request, name, seed=5).rows if r.edit}
        assert {r.edit.template for r in asked} <= used


def test_utility_is_asked_in_the_wording_of_an_attack():
    papers, other = (
        sampled_utility(BENCH, per_set=2, seed=0, trigger=t) for t in ("", "synonyms(word=then)")
    )
    assert papers["retain/clean"] == other["retain/clean"]
    assert all("please" in r.prompt.lower() for r in papers["retain/trigger"])
    assert all("then" in r.prompt.lower() for r in other["retain/trigger"])
    with pytest.raises(InputError, match="no trigger"):
        sampled_utility(BENCH, per_set=2, seed=0, trigger="smuggle")
