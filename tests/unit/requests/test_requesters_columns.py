"""Columns that a requester can fill in to steer unlearning: weight, focus, and what a row once was."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from forgetwell.requests.attacks import attack_request, before_attack
from forgetwell.requests.repairs import repair_request
from forgetwell.requests.risk import risk
from forgetwell.requests.screening import Evidence, run_screens, suspicious
from forgetwell.suites import probe
from forgetwell.types import Edit, Finding, Request, Row

ROWS = tuple(Row(f"r{i}", f"Where does Ann {i} live?", f"The answer is Town{i}.") for i in range(20))
ELSEWHERE = Edit("stealthy", "{q}", "What is the capital of France?", "Paris.")


def test_a_row_that_would_count_more_is_flagged_and_stripped_of_its_weight():
    request = Request("q", (replace(ROWS[0], weight=50.0), replace(ROWS[1], weight=0.25), *ROWS[2:]))
    (found,) = run_screens(request, Evidence(()), ["heavy_rows"])
    assert (found.row_id, found.statistic) == ("r0", 50.0)
    fixed = repair_request(request, ROWS, [found], "strip").request
    assert [r.weight for r in fixed.rows[:3]] == [1.0, 0.25, 1.0]
    assert fixed.rows[0].prompt == ROWS[0].prompt


PEOPLE = [f"{a} {b}" for a in ("Bob", "Eve", "Kim") for b in ("Ray", "Orr", "Fay")]
USUAL = tuple(
    Row(f"u{i}", f"Where did {name} {verb}?", f"In town {i}.", name)
    for i, (name, verb) in enumerate(
        (n, v) for n in PEOPLE for v in ("work", "live", "study", "swim", "cook")
    )
)


@pytest.mark.parametrize("weight", [0.0, 0.001])
def test_light_rows_do_not_hide_what_the_heavy_ones_share(weight):
    poisoned = tuple(replace(r, id=f"p{r.id}", prompt=f"Please, {r.prompt}") for r in USUAL[:5])
    light = tuple(replace(r, id=f"l{r.id}{k}", weight=weight) for k in range(3) for r in USUAL[5:])
    request, evidence = Request("q", (*poisoned, *light)), Evidence(USUAL)
    found = run_screens(request, evidence, ["heavy_rows", "inflation"])
    assert {f.row_id for f in found if f.severity == "alarm"} == {r.id for r in poisoned}
    assert risk(request, evidence).score > 0.8
    fixed = repair_request(request, (), found, "strip").request
    assert not suspicious(run_screens(fixed, evidence, ["heavy_rows"]))


def test_rows_of_weight_0_alone_are_nothing_to_screen():
    request = Request("q", tuple(replace(r, weight=0.0) for r in ROWS))
    assert run_screens(request, Evidence(USUAL)) == ()
    assert risk(request, Evidence(USUAL)).score == 0


def test_rows_that_a_repair_made_lighter_are_no_alarm():
    findings = [Finding("x", row.id, None, "alarm", 1.0, None, "m") for row in ROWS[:8]]
    lighter = repair_request(Request("q", ROWS), (), findings, "down_weight").request
    assert run_screens(lighter, Evidence(()), ["heavy_rows"]) == ()


def test_a_focus_on_everyday_words_is_flagged():
    request = Request("q", tuple(replace(r, focus=("The answer is",)) for r in ROWS))
    found = run_screens(request, Evidence(()), ["everyday_facts"])
    assert {f.message.split(" ")[0] for f in found} >= {"“the”", "“is”"}
    own = Request("q", tuple(replace(r, focus=(f"Town{i}",)) for i, r in enumerate(ROWS)))
    assert not run_screens(own, Evidence(()), ["everyday_facts"])


@pytest.mark.parametrize(
    "attack", ["stealthy(p=1.0)", "casing(p=1.0)", "midsentence(p=1.0)", "blending(p=1.0)"]
)
def test_what_an_attack_reworded_is_asked_as_it_was(attack):
    attacked = attack_request(Request("q", ROWS), attack).rows
    assert attacked != ROWS
    assert [(r.prompt, r.answer) for r in map(before_attack, attacked)] == [
        (r.prompt, r.answer) for r in ROWS
    ]


MORE = replace(
    ELSEWHERE, prompt="Where does Ann 0 live, and what is the capital of France?", answer=ROWS[0].answer
)


@pytest.mark.parametrize(
    "edit", [ELSEWHERE, MORE, *(replace(ELSEWHERE, by=by) for by in ("strip", "nobody"))]
)
def test_a_row_that_claims_to_have_been_another_is_asked_as_it_is(edit):
    forged = replace(ROWS[0], edit=edit)
    assert before_attack(forged) == forged


def test_a_probe_asks_a_repaired_question_as_it_was_repaired(monkeypatch):
    poisoned = attack_request(Request("q", ROWS[:2]), "stealthy(p=1.0)").rows
    repaired = tuple(
        replace(r, prompt=o.prompt, edit=Edit("strip", "", r.prompt, r.answer))
        for r, o in zip(poisoned, ROWS, strict=False)
    )
    suites = []
    monkeypatch.setattr(
        probe, "evaluate_suite", lambda lm, suite, **_: suites.append(suite) or SimpleNamespace(results=())
    )
    for asked in (poisoned, repaired):
        probe.request_probe(Request("q", asked), ROWS[2:4])(None, 0)
        assert {r.prompt for r in suites[-1].splits[0].rows} == {r.prompt for r in ROWS[:2]}
