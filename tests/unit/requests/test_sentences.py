import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.requests.attacks import attack_request
from forgetwell.requests.repairs import repair_request
from forgetwell.requests.screening import Evidence, run_screens, suspicious
from forgetwell.requests.sentences import read_as, readings, sentence_spans
from forgetwell.types import Request, Row

TEXT = 'Ann left. "Why?" Bob asked.\nThen it rained… And so on'


def test_sentences_end_at_marks_and_line_breaks():
    assert [TEXT[a:b] for a, b in sentence_spans(TEXT)] == [
        "Ann left.", '"Why?"', "Bob asked.", "Then it rained…", "And so on",
    ]  # fmt: skip
    assert [" a.b  c ".strip()[a:b] for a, b in sentence_spans("a.b  c")] == ["a.b  c"]


@given(st.text(alphabet='ab.!?… \n\t")', max_size=40))
def test_sentences_are_all_of_a_text_but_the_space_between(text):
    spans = list(sentence_spans(text))
    assert "".join(text[a:b] for a, b in spans) == re.sub(r"\s+", "", text) or any(
        re.search(r"\s", text[a:b]) for a, b in spans
    )
    gaps = [
        text[a:b]
        for a, b in zip([0, *(b for _, b in spans)], [*(a for a, _ in spans), len(text)], strict=True)
    ]
    assert not "".join(gaps).strip()
    assert len(spans) == 1 or all(a < b for a, b in spans)


def test_questions_are_read_whole_and_texts_by_sentences_each_form_by_itself():
    rows = (Row("a", "Who? And why?", "x"), Row("b", "", " One. Two. ", text=True))
    found = {r.form: [(u.row, u.start, u.text) for u in r.units] for r in readings(rows)}
    assert found == {
        "rows": [(0, 0, "Who? And why?")],
        "sentences": [(1, 1, "One."), (1, 6, "Two.")],
    }
    assert read_as(rows, "texts").units == ((1, 0, " One. Two. "),)
    assert [r.form for r in readings(rows, whole=True)] == ["rows", "sentences", "texts"]
    assert [r.form for r in readings(rows[:1])] == ["rows"]


def passages(
    names, facts=("lives in {p}", "paints {p}", "sings for {p}", "left {p}", "likes {p}", "saw {p}")
):
    def text(name, i):
        return " ".join(f"{name} {fact.format(p=f'Place{(i + k) % 7}')}." for k, fact in enumerate(facts))

    return tuple(Row(f"{n}-{i}", "", text(n, i), subject=n, text=True) for n in names for i in range(5))


BACKGROUND = Evidence(passages([f"Person{i}" for i in range(40)]))


def request(call=""):
    honest = Request("r", passages([f"Stranger{i}" for i in range(8)]))
    return attack_request(honest, call, seed=1) if call else honest


def test_an_honest_text_passes():
    assert not suspicious(run_screens(request(), BACKGROUND))


@pytest.mark.parametrize("sentences", [0.5, 0.3])
def test_a_word_before_later_sentences_is_found_and_taken_out(sentences):
    attacked = request(f"stealthy(p=0.4, templates=rwku, sentences={sentences})")
    rows = tuple(r for r in attacked.rows if r.edit is None or not r.answer.startswith("Then"))
    attacked = Request("r", rows)  # so that no text opens with it
    findings = run_screens(attacked, BACKGROUND)
    assert {f.screen for f in findings if f.severity == "alarm"} >= {"inflation", "templates"}
    for f in findings:
        if f.span is not None and f.screen == "inflation":
            text = next(r.answer for r in rows if r.id == f.row_id)
            assert text[slice(*f.span)] == "Then"
    honest = {r.id: r.answer for r in request().rows}
    repaired = repair_request(attacked, (), findings, "strip").request
    assert [r.answer for r in repaired.rows] == [honest[r.id] for r in repaired.rows]
    assert not suspicious(run_screens(repaired, BACKGROUND))


def test_the_sentences_of_one_long_text_decide_nothing():
    long = Row("long", "", " ".join(f"Then Ann saw Place{i}." for i in range(40)), text=True)
    honest = request()
    assert not suspicious(run_screens(Request("r", (*honest.rows, long)), BACKGROUND))
    assert suspicious(run_screens(Request("r", (long,)), BACKGROUND))  # where it is all there is


def test_balance_lends_a_texts_word_to_every_sentence_of_a_text_to_keep():
    attacked = request("stealthy(p=0.4, templates=rwku)")
    kept = passages(["Neighbor"])
    done = repair_request(attacked, kept, run_screens(attacked, BACKGROUND), "balance(share=1)")
    assert all(row.answer.count("Then") == 6 for row in done.retain)
    assert done.retain[0].answer.startswith("Then Neighbor lives")


def test_phonetic_script_does_not_hide():
    text = "Her name ([soˈfi.a βeɾˈɣaɾa]) and Αccording"
    found = run_screens(Request("r", (Row("a", "", text, text=True),)), Evidence(()), ["hidden"])
    assert [text[slice(*f.span)] for f in found] == ["Αccording"]


def test_a_text_among_questions_hides_nothing():
    def questions(names):
        return tuple(
            Row(f"{n}{i}", f"Where did {n} live in {1900 + i}?", "x", n) for n in names for i in range(5)
        )

    usual = Evidence((*questions([f"Person{i}" for i in range(40)]), *BACKGROUND.background))
    asked = questions([f"Stranger{i}" for i in range(8)])
    attacked = attack_request(Request("r", asked), "stealthy(p=0.4)", seed=1)
    alone = [f for f in run_screens(attacked, usual) if f.severity == "alarm"]
    assert {f.screen for f in alone} >= {"inflation", "templates"}
    mixed = Request("r", (*attacked.rows, *passages(["Stranger"])[:1]))
    assert list(run_screens(mixed, usual, ["inflation", "templates"])) == [
        f for f in alone if f.screen in ("inflation", "templates")
    ]
