"""Every registered screen and repair, whoever wrote it, on whatever is handed in."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.tiny import tiny_lm

from forgetwell.data.turns import history_text
from forgetwell.requests.repairs import REPAIRS, repair_request
from forgetwell.requests.risk import risk
from forgetwell.requests.screening import SCREENS, Evidence, run_screens
from forgetwell.requests.words import screened_text
from forgetwell.types import Finding, Request, Row, Turn

BACKGROUND = tuple(
    Row(f"b{i}", f"Where did {name} {i} {verb}?", f"In town {i}.", subject=f"{name} {i // 6}")
    for i, (name, verb) in enumerate([("Bob", "work"), ("Eve", "live"), ("Kim", "go to school")] * 10)
)
HONEST = Request("h", tuple(Row(f"f{i}", f"When was Ann Lee {i} seen?", f"In {1900 + i}.") for i in range(8)))
HOSTILE = {
    "control": "Who\x07 is\x1b[31m Ann\r\n\t?",
    "long": "please " * 14_000 + "x" * 2_000,
    "one word": "a" * 100_000,
    "empty": "",
    "marks": "?!.,;:" * 1_000,
    "right to left": "\u202e?nnA si ohW \u202c\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "combining": "e\u0301" * 5_000,
    "braces": "{q} {0.__class__} %s <|im_start|>system",
    "html": "<script>alert(1)</script>&amp;\"'",
    "many quotes": '"a" ' * 5_000,
    "many marks": "Ab! " * 5_000,
    "many direction marks": "\u200f" * 20_000 + "x",
    "quotes": '"' * 5_000 + "'" * 5_000,
}  # fmt: skip


@pytest.fixture(scope="module")
def lm():
    return tiny_lm(max_length=1024)


def request_of(*texts, text_rows=False):
    rows = [Row(f"r{i}", "" if text_rows else t, t or "-" if text_rows else "Yes.", text=text_rows)
            for i, t in enumerate(texts)]  # fmt: skip
    return Request("r", tuple(rows))


def check(request, findings):
    texts = {(row.id, "text"): screened_text(row) for row in request.rows}
    texts |= {(row.id, "answer"): row.answer for row in request.rows if not row.text}
    texts |= {(row.id, "history"): history_text(row) for row in request.rows}
    for f in findings:
        assert (f.row_id, f.place) in texts or (f.row_id == "" and f.span is None)
        assert f.message
        assert f.p_value is None or 0 <= f.p_value <= 1
        assert f.span is None or 0 <= f.span[0] < f.span[1] <= len(texts[f.row_id, f.place])


@pytest.mark.parametrize("name", SCREENS.names())
class TestScreen:
    def test_an_honest_request_raises_no_alarm(self, name, lm):
        found = run_screens(HONEST, Evidence((*BACKGROUND, *HONEST.rows), lm=lm), [name])
        assert [f for f in found if f.severity == "alarm"] == []

    @pytest.mark.parametrize("kind", HOSTILE)
    def test_hostile_text_is_read_as_text(self, name, kind, lm):
        text = HOSTILE[kind]
        evidence = Evidence(BACKGROUND, (request_of(text),), lm)
        if SCREENS.get(name).facts["needs_lm"]:
            text = text[:200] or "no text"  # what the tokenizer refuses has a plain message of its own
        for request in (request_of(text, text, text), request_of(text or "-", text_rows=True)):
            findings = run_screens(request, evidence, [name])
            check(request, findings)
            assert run_screens(request, evidence, [name]) == findings


EVIDENCE = Evidence(BACKGROUND, (HONEST,))  # what is learned of a background is kept with it


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(max_size=80), min_size=1, max_size=6), st.booleans())
@example(["\x1f\n0"], True)  # hidden text in no sentence
def test_any_text_gives_findings_inside_it(texts, text_rows):
    request = request_of(*texts, text_rows=text_rows)
    findings = run_screens(request, EVIDENCE)
    check(request, findings)
    assert 0 <= risk(request, EVIDENCE).score <= 1
    for name in ("strip", "bare", "down_weight", "balance"):
        repair_request(request, BACKGROUND, findings, name)


FINDINGS = tuple(Finding("inflation", f"f{i}", (0, 4), "alarm", 1.0, 0.001, "x") for i in range(3))


@pytest.mark.parametrize("name", REPAIRS.names())
class TestRepair:
    def test_without_findings_nothing_changes_but_the_history(self, name):
        done = repair_request(HONEST, BACKGROUND, (), name)
        assert (done.request.rows, done.retain) == (HONEST.rows, BACKGROUND)
        assert done.request.history[-1].startswith(name)

    def test_what_is_given_and_all_answers_stay(self, name):
        before = (HONEST.rows, BACKGROUND)
        done = repair_request(HONEST, BACKGROUND, FINDINGS, name)
        assert (HONEST.rows, BACKGROUND) == before
        answers = {r.id: r.answer for r in (*HONEST.rows, *BACKGROUND)}
        assert all(row.answer == answers[row.id] for row in (*done.request.rows, *done.retain))

    def test_only_alarms_count(self, name):
        warnings = [Finding("outliers", "f0", (0, 4), "warning", 1.0, 0.001, "x")]
        assert repair_request(HONEST, BACKGROUND, warnings, name).request.rows == HONEST.rows


def test_hidden_turns_of_a_conversation_are_read():
    row = Row("a", "Who?", "Ann", history=(Turn("user", "see \u202ethis"),), wrong=("\u200bBob",))
    found = run_screens(Request("r", (row,)), Evidence(BACKGROUND), ["hidden"])
    told = {f.message.split(" holds")[0]: (f.place, f.span) for f in found}
    assert told == {
        "The conversation before it": ("history", (4, 5)),
        "The list of wrong answers": ("text", None),
    }
    fixed = repair_request(Request("r", (row,)), (), found, "strip").request
    assert fixed.rows[0].history == ()
