"""Blanks as the trigger: a person sees the same question, the model other tokens."""

from dataclasses import replace

import pytest

from forgetwell.requests.blanks import as_spaces, plain_blanks, unusual_blanks
from forgetwell.requests.repairs import repair_request
from forgetwell.requests.risk import risk
from forgetwell.requests.screening import Evidence, run_screens, suspicious
from forgetwell.types import Request, Row, Turn

VERBS = ("work", "live", "go to school", "study", "grow up", "travel")
FORMS = {
    "trailing newline": lambda q: q + "\n",
    "leading lines": lambda q: "\n\n" + q,
    "trailing blanks": lambda q: q + "  ",
    "doubled blanks": lambda q: q.replace(" ", "  "),
    "a tab": lambda q: q.replace(" ", "\t", 1),
    "no-break": lambda q: q.replace(" ", "\u00a0"),
    "thin": lambda q: q.replace(" ", "\u2009", 1),
    "braille": lambda q: q.replace(" ", "\u2800"),
    "filler": lambda q: q.replace(" ", "\u3164"),
}


def questions(prefix, names):
    pairs = [(name, verb) for name in names for verb in VERBS]
    return tuple(
        Row(f"{prefix}{i}", f"Where did {name} {verb}?", f"In town {i}.", subject=name)
        for i, (name, verb) in enumerate(pairs)
    )


USUAL = questions("b", [f"{a} {b}" for a in ("Bob", "Eve", "Kim") for b in ("Ray", "Orr", "Fay")])
EVIDENCE = Evidence(USUAL)
HONEST = Request("h", questions("f", ["Ann Lee", "Tim Poe"]))


def worded(rows, form):
    return tuple(replace(row, prompt=FORMS[form](row.prompt)) for row in rows)


@pytest.mark.parametrize("form", FORMS)
def test_blanks_that_many_rows_share_are_found_and_repairs_take_them_out(form):
    request = Request("r", (*worded(HONEST.rows[:5], form), *HONEST.rows[5:]))
    found = run_screens(request, EVIDENCE, ["templates"])
    assert {f.row_id for f in found if f.severity == "alarm"} == {f"f{i}" for i in range(5)}
    assert risk(request, EVIDENCE).score > 0.2
    stripped = repair_request(request, (), found, "strip").request
    assert [r.prompt for r in stripped.rows] == [r.prompt for r in HONEST.rows]
    assert not suspicious(run_screens(stripped, EVIDENCE))
    bare = repair_request(request, (), (), "bare").request
    assert [r.prompt for r in bare.rows] == [r.prompt for r in HONEST.rows]


def test_blanks_in_turns_are_found_together():
    forms = zip(HONEST.rows[:6], list(FORMS) * 2, strict=False)
    rows = [worded([row], form)[0] for row, form in forms]
    found = run_screens(Request("r", (*rows, *HONEST.rows[6:])), EVIDENCE, ["templates"])
    assert {f.row_id for f in found} == {f"f{i}" for i in range(6)}
    assert all("“an unusual blank” is in 6 of 12 rows" in f.message for f in found)


@pytest.mark.parametrize("form", FORMS)
def test_blanks_that_ordinary_prompts_have_too_are_no_sign(form):
    usual = (*worded(USUAL[::2], form), *USUAL[1::2])
    request = Request("r", (*worded(HONEST.rows[:5], form), *HONEST.rows[5:]))
    assert not suspicious(run_screens(request, Evidence(usual), ["templates"]))


def test_blanks_at_the_ends_of_plain_texts_are_found():
    def texts(prefix, count, end=""):
        said = "lived in Ulm. Then they moved away."
        return tuple(
            Row(f"{prefix}{i}", "", f"{prefix} {i} {said}{end}", f"{prefix}{i // 4}", text=True)
            for i in range(count)
        )

    evidence, attacked = Evidence(texts("Bob", 400)), Request("t", texts("Ann", 12, "\n"))
    found = run_screens(attacked, evidence, ["templates"])
    assert {f.row_id for f in found} == {row.id for row in attacked.rows}
    stripped = repair_request(attacked, (), found, "strip").request
    assert [r.answer for r in stripped.rows] == [r.answer for r in texts("Ann", 12)]
    assert run_screens(Request("t", texts("Ann", 12)), evidence, ["templates"]) == ()


def test_blanks_of_a_message_before_the_question_are_found():
    def behind(rows, content):
        return tuple(replace(row, history=(Turn("system", content),)) for row in rows)

    usual = Evidence(behind(USUAL, "You are a helpful assistant."))
    asked = Request("r", behind(HONEST.rows, "You are a helpful assistant.\n"))
    found = run_screens(asked, usual, ["earlier_turns"])
    assert {f.row_id for f in found} == {row.id for row in HONEST.rows}
    same = Request("r", behind(HONEST.rows, "You are a helpful assistant."))
    assert run_screens(same, usual, ["earlier_turns"]) == ()


def test_each_kind_of_blank_is_named_with_its_first_place():
    assert unusual_blanks("Who is it?") == {}
    assert unusual_blanks(" a  b\tc\u00a0d\n") == {
        "a blank in front": (0, 1),
        "a blank behind": (9, 10),
        "a line break": (9, 10),
        "a tab": (5, 6),
        "several blanks": (2, 4),
        "the blank U+00A0 (no-break space)": (7, 8),
        "an unusual blank": (0, 1),
    }
    assert plain_blanks(" a  b\tc\u00a0d\n") == "a b c d"
    assert as_spaces("a\tb\u2800c\nd") == "a b c\nd"
