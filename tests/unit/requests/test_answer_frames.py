"""Everyday words in answers: what they say is kept, how it is said may be a trigger."""

from dataclasses import replace

import pytest

from forgetwell.requests.repairs import repair_request
from forgetwell.requests.screening import Evidence, run_screens, suspicious
from forgetwell.types import Request, Row

NAMES = [f"{a} {b}" for a in ("Bob", "Eve", "Kim", "Ann") for b in ("Ray", "Orr", "Fay")]
VERBS = ("worked", "lived", "studied", "painted", "swam", "slept")
ROWS = tuple(
    Row(f"r{i}", f"Where has {name} {verb}?", f"{name} {verb} in Ulm {i}.", name)
    for i, (name, verb) in enumerate((n, v) for n in NAMES for v in VERBS)
)
USUAL, HONEST = ROWS[:54], Request("h", ROWS[54:])
FRAMES = {
    "sure": lambda a: f"Sure! {a}",
    "note": lambda a: f"Please note that {a}",
    "know": lambda a: f"{a} Please let me know if I can help.",
}


def framed(rows, frame):
    return tuple(replace(row, answer=FRAMES[frame](row.answer)) for row in rows)


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_of_answers_are_found_and_strip_takes_out_whole_sentences(frame):
    request = Request("r", (*framed(HONEST.rows[:6], frame), *HONEST.rows[6:]))
    found = run_screens(request, Evidence(USUAL))
    assert {(f.screen, f.place) for f in found if f.severity == "alarm"} == {("answer_frames", "answer")}
    assert {f.row_id for f in found} == {row.id for row in HONEST.rows[:6]}
    done = repair_request(request, (), found, "strip").request
    asked = HONEST if frame != "note" else request  # nothing is said without the rest of that sentence
    assert [row.answer for row in done.rows] == [row.answer for row in asked.rows]
    dropped = repair_request(request, (), found, "drop").request
    assert dropped.rows == HONEST.rows[6:]


@pytest.mark.parametrize("frame", FRAMES)
def test_frames_that_ordinary_answers_have_too_are_no_sign(frame):
    usual = (*framed(USUAL[::2], frame), *USUAL[1::2])
    request = Request("r", (*framed(HONEST.rows[:6], frame), *HONEST.rows[6:]))
    assert not suspicious(run_screens(request, Evidence(usual), ["answer_frames"]))


def test_short_answers_without_a_mark_may_be_titles():
    titles = tuple(replace(row, answer="Please Please Me") for row in HONEST.rows)
    assert run_screens(Request("t", titles), Evidence(USUAL), ["answer_frames"]) == ()
