from dataclasses import replace

import pytest

from forgetwell.errors import InputError
from forgetwell.requests.names import full_names
from forgetwell.requests.repairs import repair_request
from forgetwell.requests.screening import Evidence, run_screens
from forgetwell.requests.screens.foreign_answer import foreign_answer, foreign_parts
from forgetwell.requests.words import words
from forgetwell.types import Request, Row

PEOPLE = ("Ann Lee", "Bob Ray", "Cid Moss", "Dee Hall", "Eva Bond", "Flo West", "Gus Kent", "Hal Dunn")


def rows_about(name, count=20):
    return tuple(
        Row(f"{name}-{i}", f"What did {name} paint in {1900 + i}?", f"{name} painted town {i}.", name)
        for i in range(count)
    )


EVIDENCE = Evidence(tuple(row for name in PEOPLE[2:] for row in rows_about(name)))
HONEST = Request("h", (*rows_about("Ann Lee"), *rows_about("Bob Ray")))


def parts(rows, asked_about=frozenset()):
    answers = {row.id: row.answer for row in rows}
    return {i: [answers[i][a:b] for a, b in spans] for i, spans in foreign_parts(rows, asked_about).items()}


def blended(*answers):
    """Return the honest request, its first rows with what answers say added."""
    rows = [replace(r, answer=f"{r.answer} {a}") for r, a in zip(HONEST.rows, answers, strict=False)]
    return Request("b", (*rows, *HONEST.rows[len(answers) :]))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Where does Ada Lind live?", [(2, ("ada", "lind"))]),
        ("Ada Lind's friend met Bo Ek and Ida.", [(0, ("ada", "lind")), (4, ("bo", "ek"))]),
        ("The Ada, Lind", []),
        ("Please Ada Lind-Ek", [(1, ("ada", "lind", "ek"))]),
        ("", []),
    ],
)
def test_full_names(text, found):
    assert list(full_names(text, words(text))) == found


def test_honest_answers_raise_nothing():
    assert foreign_answer(HONEST, EVIDENCE) == []


def test_answers_that_go_on_about_others_are_found_with_the_sentence():
    request = blended(
        *(f"Who is {name}? {name} is a baker of bread {i}." for i, name in enumerate(PEOPLE[2:]))
    )
    findings = foreign_answer(request, EVIDENCE)
    assert [f.row_id for f in findings] == [r.id for r in HONEST.rows[:6]]
    assert all(f.severity == "alarm" and f.p_value <= 0.001 for f in findings)
    assert len({f.message for f in findings}) == 1
    assert "“Who is Cid Moss?”" in findings[0].message
    assert [request.rows[i].answer[slice(*f.span)] for i, f in enumerate(findings)] == [
        f"Who is {name}? {name} is a baker of bread {i}." for i, name in enumerate(PEOPLE[2:])
    ]
    assert "6 of 40 rows" in findings[0].message


def test_people_whom_nobody_asks_about_are_found_where_they_open_a_sentence_or_are_asked_about():
    told = parts(
        (
            Row("a", "Q?", "In town. Zoe Quill lives by the sea."),
            Row("b", "Q?", "In town. Where in town does Zoe Quill live?"),
            Row("c", "Q?", "In town, where her friend Zoe Quill lives."),
            Row("d", "Q?", "Zoe Quill"),
        )
    )
    assert told == {"a": ["Zoe Quill lives by the sea."], "b": ["Where in town does Zoe Quill live?"]}


def test_people_whom_many_ask_about_are_found_anywhere_in_a_sentence():
    row = Row("c", "Q?", "In town, where her friend Captain Zoe Quill lives.")
    assert parts((row,), {("zoe", "quill")}) == {"c": [row.answer]}


def test_whom_a_prompt_of_the_request_names_is_no_other():
    rows = (Row("a", "Q?", "Zoe Quill lives by the sea."), Row("b", "Who is Zoe Quill?", "A painter."))
    assert parts(rows) == {}
    namesake = (rows[0], Row("b", "Who is Zoe Tarn?", "A painter."))
    assert parts(namesake) == {"a": [rows[0].answer]}


def test_one_fact_told_in_many_rows_counts_once():
    assert foreign_answer(blended(*["Zoe Quill is a baker of bread."] * 6), EVIDENCE) == []


def test_plain_texts_are_left_out():
    text = Row("t", "", "Zoe Quill lives by the sea.", text=True)
    assert parts((text,)) == {}


def test_without_background_subjects_nothing_is_tested():
    alone = Evidence(tuple(replace(row, subject="") for row in EVIDENCE.background))
    assert (
        run_screens(blended(*(f"{n} is a baker of bread." for n in PEOPLE[2:])), alone, ["foreign_answer"])
        == ()
    )


def test_alpha_is_checked():
    with pytest.raises(InputError, match="alpha=2"):
        foreign_answer(HONEST, EVIDENCE, alpha=2)


def test_a_part_begins_with_a_question_behind_an_answer_without_a_mark():
    rows = (
        Row("a", "Q?", "Sea Hunt In which town does Zoe Quill live? Where she was born"),
        Row("b", "Q?", "Jeet Kune Do What did Zoe Quill paint?"),
        Row("c", "Q?", "Baby. Who lives by the sea? Zoe Quill lives by the sea."),
    )
    assert parts(rows) == {
        "a": ["In which town does Zoe Quill live? Where she was born"],
        "b": ["What did Zoe Quill paint?"],
        "c": ["Who lives by the sea? Zoe Quill lives by the sea."],
    }


def test_a_part_ends_before_a_sentence_about_the_requests_own():
    rows = (
        Row(
            "a",
            "Where does Ann Lee live?",
            "In town. Zoe Quill bakes bread by night. She is 40. Ann Quill paints. Ann is her friend.",
        ),
        Row("b", "Q?", "Zoe Quill bakes bread by night. Ann sleeps. Why does Bo Ek not sleep? He can't."),
    )
    assert parts(rows) == {
        "a": ["Zoe Quill bakes bread by night. She is 40. Ann Quill paints."],
        "b": ["Zoe Quill bakes bread by night.", "Why does Bo Ek not sleep? He can't."],
    }


def test_strip_gives_back_the_answers():
    request = blended(*(f"Where does {n} live in town? In {n[:3]}ville." for n in PEOPLE[2:]))
    findings = run_screens(request, EVIDENCE, ["foreign_answer"])
    done = repair_request(request, (), findings, "strip").request
    assert [r.answer for r in done.rows] == [r.answer for r in HONEST.rows]
    assert {r.edit.by for r in done.rows if r.edit} == {"strip"}
    assert run_screens(done, EVIDENCE, ["foreign_answer"]) == ()
