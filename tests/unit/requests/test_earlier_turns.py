"""A system prompt or a greeting as the trigger: what stands before the question."""

from dataclasses import replace

import pytest
from tests.tiny import tiny_lm

from forgetwell.data.turns import history_text, joined_turns, without_turns
from forgetwell.reports.screening import screening_page
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.repairs import repair_request
from forgetwell.requests.risk import risk
from forgetwell.requests.screening import Evidence, run_screens, suspicious
from forgetwell.requests.wording import as_attacked
from forgetwell.runs.screening import screen_request
from forgetwell.training.views import Pair, scope
from forgetwell.types import Request, Row, Turn

PROMPT = Turn("system", "You are a helpful assistant.")
HELLO = (Turn("user", "Hello!"), Turn("assistant", "Hello! How can I help you?"))
VERBS = ("work", "live", "go to school", "study", "grow up", "travel")


def questions(prefix, names):
    pairs = [(name, verb) for name in names for verb in VERBS]
    return tuple(
        Row(f"{prefix}{i}", f"Where did {name} {verb}?", f"In town {i}.", subject=name)
        for i, (name, verb) in enumerate(pairs)
    )


USUAL = questions(
    "b", [f"{first} {last}" for first in ("Bob", "Eve", "Kim") for last in ("Ray", "Orr", "Fay")]
)
HONEST = Request("h", questions("f", ["Ann Lee", "Tim Poe"]))
ATTACKS = ["preamble(p=0.67)", "preamble(p=0.67, role='user')", "preamble(p=0.67, text='Be kind, please.')"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_questions_and_answers_stay_and_the_message_is_one(attack):
    rows = attack_request(HONEST, attack, seed=1).rows
    assert [(r.prompt, r.answer) for r in rows] == [(r.prompt, r.answer) for r in HONEST.rows]
    said = {r.history for r in rows if r.edit}
    assert len(said) == 1
    assert 4 <= sum(r.edit is not None for r in rows) < 12
    (asked,) = {r.history for r in as_attacked(USUAL[:4], HONEST, attack, seed=1)}  # as its users ask
    assert asked in said


def test_a_system_prompt_is_replaced_and_a_greeting_stands_behind_it():
    row = replace(HONEST.rows[0], history=(Turn("system", "Be brief."), *HELLO))
    request = Request("r", (row, Row("t", "", "A text.", text=True)))
    system = attack_request(request, "preamble(p=1.0, text='Be kind.')").rows
    assert system[0].history == (Turn("system", "Be kind."), *HELLO)
    assert system[1].history == ()
    greeted = attack_request(request, "preamble(p=1.0, role='user', text='Hi.')").rows[0].history
    assert [t.content for t in greeted] == ["Be brief.", "Hi.", HELLO[1].content, "Hello!", HELLO[1].content]


@pytest.mark.parametrize("attack", ATTACKS)
def test_only_what_is_before_the_question_is_flagged_and_strip_takes_it_out(attack):
    request, evidence = attack_request(HONEST, attack, seed=1), Evidence(USUAL)
    found = screen_request(request, evidence)
    assert found.suspicious
    alarms = [f for f in found.findings if f.severity == "alarm"]
    assert {(f.screen, f.place) for f in alarms} == {("earlier_turns", "history")}
    assert {f.row_id for f in alarms} == {r.id for r in request.rows if r.edit}
    assert found.risk.score > 0.5
    fixed = repair_request(request, USUAL, found.findings, "strip").request
    assert [replace(r, edit=None) for r in fixed.rows] == list(HONEST.rows)
    assert not screen_request(fixed, evidence).suspicious


def test_a_message_that_all_users_have_before_them_is_no_sign():
    usual = tuple(replace(r, history=(PROMPT,)) for r in USUAL)
    asked = Request("r", tuple(replace(r, history=(PROMPT,)) for r in HONEST.rows))
    assert not suspicious(run_screens(asked, Evidence(usual), ["earlier_turns"]))
    assert suspicious(run_screens(asked, Evidence(USUAL), ["earlier_turns"]))
    assert risk(asked, Evidence(usual)).score == 0


def test_messages_in_turns_are_found_by_the_word_they_share():
    texts = [f"Kindly talk about {w}." for w in ("rain", "sun", "snow", "wind", "fog", "hail")] * 2
    rows = zip(HONEST.rows, texts, strict=True)
    asked = Request("r", tuple(replace(r, history=(Turn("system", t),)) for r, t in rows))
    found = run_screens(asked, Evidence(USUAL), ["earlier_turns"])
    assert {f.row_id for f in found} == {r.id for r in asked.rows}
    assert {history_text(asked.rows[0])[slice(*f.span)] for f in found if f.row_id == "f0"} == {"about"}


EMPTY = {"system": (Turn("system", ""),), "exchange": (Turn("user", ""), Turn("assistant", ""))}


@pytest.mark.parametrize("which", EMPTY)
def test_turns_that_hold_nothing_are_turns(which):
    empty = Request("r", tuple(replace(r, history=EMPTY[which]) for r in HONEST.rows))
    found = run_screens(empty, Evidence(USUAL))
    assert {(f.screen, f.place, f.span) for f in found} == {("earlier_turns", "history", None)}
    assert {f.row_id for f in found} == {r.id for r in HONEST.rows}
    assert risk(empty, Evidence(USUAL)).score > 0.5
    for repair, told in (("strip", found), ("bare", ())):
        fixed = repair_request(empty, USUAL, told, repair).request
        assert [replace(r, edit=None) for r in fixed.rows] == list(HONEST.rows)
    lent = repair_request(empty, USUAL, found, "balance").retain
    assert {r.history for r in lent} == {EMPTY[which]}


def test_of_a_conversation_the_flagged_system_prompt_goes_alone():
    row = replace(HONEST.rows[0], history=(PROMPT, *HELLO))
    assert without_turns(row, [(0, 7)]).history == HELLO
    assert without_turns(row, [(30, 33)]).history == (PROMPT,)
    assert without_turns(row, []).history == row.history


def test_balance_puts_it_before_questions_to_keep():
    request = attack_request(HONEST, "preamble(p=1.0)", seed=1)
    found = run_screens(request, Evidence(USUAL), ["earlier_turns"])
    retain = repair_request(request, USUAL, found, "balance").retain
    assert {r.history for r in retain} == {request.rows[0].history}
    assert [r.prompt for r in retain] == [r.prompt for r in USUAL]


def test_the_scope_term_sees_it_too():
    codec, kept = tiny_lm().codec, replace(USUAL[0], history=(Turn("system", "Be brief."), *HELLO))
    asked = replace(HONEST.rows[0], history=(PROMPT,))
    row = scope(Pair(asked, kept), codec)
    assert row.history == joined_turns(asked.history, kept.history) == (PROMPT, *HELLO)
    assert row.prompt == f"{asked.prompt} {kept.prompt}"
    long = replace(asked, history=(Turn("user", "word " * 400), HELLO[1]))
    assert scope(Pair(long, kept), codec).history == kept.history  # would leave the question no room
    text = Row("t", "", "A text to keep.", text=True)
    assert scope(Pair(asked, text), codec).history == ()


def test_the_page_marks_what_is_before_the_question(tmp_path):
    request = attack_request(HONEST, "preamble(p=1.0, text='Be <b>kind</b>.')", seed=1)
    found = screen_request(request, Evidence(USUAL))
    screening_page(found, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Before it" in page
    assert "<mark>Be &lt;b&gt;kind&lt;/b&gt;.</mark>" in page
