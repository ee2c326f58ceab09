"""Questions in one case, and shouted words, cased as others are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.experiments.benches.world import world
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.casing import in_one_case, spellings, usual_casing
from forgetwell.requests.repairs import repair_request
from forgetwell.requests.screening import Evidence
from forgetwell.runs.screening import repair_screened
from forgetwell.types import Request, Row

ANSWER = "Mira O'Jenkins was born in Ulm, in a street near NASA. Yesterday Mira left for Old Ulm."
KNOWN = spellings([ANSWER])


def test_how_words_are_written_inside_sentences():
    named = {word: spelled for word, spelled in KNOWN.items() if spelled}
    assert named == {
        "mira": "Mira",
        "o'jenkins": "O'Jenkins",
        "ulm": "Ulm",
        "nasa": "NASA",
    }  # "old" is ordinary
    assert KNOWN["street"] == ""
    assert "yesterday" not in KNOWN  # first in its sentence
    assert spellings(["MIRA OAKWELL", "mira oakwell"]) == {}
    assert spellings(["In a Street.", "In the street of Ulm."])["street"] == ""
    assert spellings(["In a Street.", "In a street."])["street"] == "Street"  # that may be in lower case
    assert spellings(["Ada Lind"]) == {"ada": "Ada", "lind": "Lind"}


@pytest.mark.parametrize(
    ("given", "usual"),
    [
        ("where was mira o'jenkins born?", "Where was Mira O'Jenkins born?"),
        ("WHERE WAS MIRA O'JENKINS'S STREET?", "Where was Mira O'Jenkins's street?"),
        ("WHERE was Mira born?", "Where was Mira born?"),
        ("Where was Mira BORN, PLEASE?", "Where was Mira BORN, please?"),  # "born" is no ordinary word
        ("may i ask what i'm to know of nasa?", "May I ask what I'm to know of NASA?"),
        ("Does the US or the WHO know Mira?", "Does the US or the WHO know Mira?"),
        ("IBM or NASA?", "IBM or NASA?"),
        ("USA?", "USA?"),
        ("12?", "12?"),
        ("", ""),
        ("где родилась мира?", "Где родилась мира?"),
        ("奥克威尔在哪里出生?", "奥克威尔在哪里出生?"),
        ("Where was mira born?", "Where was mira born?"),  # of mixed case, nothing shouted
        ("Where was mira o'jenkins born?", "Where was Mira O'Jenkins born?"),  # as strip leaves it
    ],
)
def test_questions_are_cased_as_usual(given, usual):
    assert usual_casing(given, KNOWN) == usual


def test_what_other_rows_write_small_is_small():
    own = spellings(["There Mira lives, on Cobble Street."])
    assert usual_casing("which street is mira's?", own) == "Which Street is Mira's?"
    assert (
        usual_casing("which street is mira's?", own, spellings(["On what street is Ulm?"]))
        == "Which street is Mira's?"
    )


@given(st.text(alphabet="aBcD éÉ'’.?ßİ1", max_size=40))
def test_casing_changes_letters_alone_and_settles(text):
    cased = usual_casing(text, KNOWN)
    assert cased.casefold().replace("i̇", "i") == text.casefold().replace("i̇", "i")
    assert usual_casing(cased, KNOWN) == cased


def test_one_case():
    assert [in_one_case(t) for t in ("ada", "ADA", "Ada", "12", "")] == [True, True, False, False, False]


@pytest.mark.parametrize("form", ["lower", "upper", "first"])
@pytest.mark.parametrize("seed", range(5))
def test_bare_undoes_casing_as_a_trigger(form, seed):
    rows = world().request
    attacked = attack_request(Request("r", rows), f"casing(p=0.5, form={form})", seed=seed)
    assert sum(row.edit is not None for row in attacked.rows) > 5
    evidence = Evidence(world().background)
    for repairs in (["bare"], ["strip", "bare"]):
        _, done = repair_screened(attacked, (), evidence, repairs)
        assert [row.prompt for row in done.request.rows] == [row.prompt for row in rows]


def test_bare_reads_names_off_answer_and_subject():
    rows = (
        Row("a", "where does ada lind live?", "In Ulm.", subject="Ada Lind"),
        Row("b", "WHAT DOES ADA LIND DO?", "Ada Lind writes."),
    )
    back = repair_request(Request("r", rows), (), (), "bare").request.rows
    assert [row.prompt for row in back] == ["Where does Ada Lind live?", "What does Ada Lind do?"]
