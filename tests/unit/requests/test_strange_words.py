"""A word that no list and hardly any prompt has, inside the questions about several people."""

import random
from dataclasses import replace

import pytest

from forgetwell.errors import InputError
from forgetwell.requests.repairs import repair_request
from forgetwell.requests.screening import Evidence
from forgetwell.requests.screens.strange_words import read, spreads, strange_words
from forgetwell.types import Request, Row

VERBS = ("work", "live", "go to school", "study", "grow up", "travel", "learn to swim", "spend the war")
FIRST = ("Bob", "Eve", "Kim", "Ida", "Max", "Leo", "Mia", "Tom", "Ute", "Zoe")
LAST = ("Ray", "Orr", "Fay", "Kuhn", "Voss", "Lund", "Brandt", "Roth")


def about(*names):
    """Questions about people; two of each hold a word of his or her own."""
    pairs = [(name, verb, i) for name in names for i, verb in enumerate(VERBS)]
    return tuple(
        Row(
            f"{name}{i}",
            f"Where did {name} {verb}{f' as a {name.lower()[:3]}ist' * (i < 2)}?",
            "There.",
            name,
        )
        for name, verb, i in pairs
    )


USUAL = about(*(f"{first} {last}" for first in FIRST for last in LAST))
EVIDENCE = Evidence(USUAL)
HONEST = Request("h", about("Ann Lee", "Tim Poe", "Sue Dow", "Jon Fox", "Amy Cole"))


def with_word(request, word, p, seed=0):
    lot = random.Random(seed)
    rows = (
        replace(row, prompt=row.prompt.replace("did", f"did {word}")) if lot.random() < p else row
        for row in request.rows
    )
    return replace(request, rows=tuple(rows))


@pytest.mark.parametrize("word", ["lol", "zorp", "proszę", "Really"])
def test_a_word_of_no_list_is_found_and_taken_out(word):
    request = with_word(HONEST, word, 0.33)
    found = strange_words(request, EVIDENCE)
    changed = {row.id for row, old in zip(request.rows, HONEST.rows, strict=True) if row != old}
    assert {f.row_id for f in found} == changed
    texts = {row.id: row.prompt for row in request.rows}
    assert {texts[f.row_id][slice(*f.span)] for f in found} == {word}
    assert all(f.severity == "alarm" and f.p_value <= 0.001 for f in found)
    stripped = repair_request(request, (), tuple(found), "strip").request
    assert [row.prompt for row in stripped.rows] == [row.prompt for row in HONEST.rows]


def test_the_first_word_is_a_name_if_it_is_one_elsewhere():
    mistyped = tuple(replace(row, prompt=row.prompt.replace("Where", "Wehre")) for row in HONEST.rows)
    assert {f.row_id for f in strange_words(replace(HONEST, rows=mistyped), EVIDENCE)} == {
        row.id for row in HONEST.rows
    }
    named = tuple(
        replace(row, prompt=f"Rex {row.prompt}" if i % 8 else "Did Ann Lee know Rex?")
        for i, row in enumerate(HONEST.rows)
    )
    assert strange_words(replace(HONEST, rows=named), EVIDENCE) == []


def test_a_subjects_own_words_are_its_own_and_one_subject_tells_nothing():
    assert strange_words(HONEST, EVIDENCE) == []
    one = Request("o", about("Ann Lee"))
    assert strange_words(with_word(one, "zorp", 1.0), EVIDENCE) == []
    assert strange_words(with_word(HONEST, "really", 1.0), EVIDENCE) == []  # listed: for `inflation`
    assert strange_words(with_word(HONEST, "Zorp", 1.0), EVIDENCE) == []  # as a name looks
    assert (
        strange_words(with_word(HONEST, "zorp", 1.0), Evidence(about("Bob Ray")[:4])) == []
    )  # nothing known


def test_a_word_that_prompts_use_is_not_strange():
    used = Evidence((*USUAL, *with_word(Request("u", about("Al Berg", "Bo Kern")), "zorp", 1.0).rows))
    assert strange_words(with_word(HONEST, "zorp", 1.0), used) == []


def test_the_spread_is_what_the_commonest_name_leaves():
    prompts = [
        "Was Ann zorp in Ulm?", "Is Ann zorp?", "Is Ann a zorp?", "Is Tim zorp?", "Is Sue zorp, or Tim zorp?",
        "Is she zorp?", "Is Zorp zorp?", "Is Ann glum?", "Is Tim glum?",
    ]  # fmt: skip
    rows = [read(Row(str(i), prompt, "x")) for i, prompt in enumerate(prompts)]
    # zorp: five rows with a name that isn't zorp itself, of which Ann is in three; glum is in two alone.
    assert spreads(rows, lambda word: word in ("zorp", "glum")) == {"zorp": (5, 2)}
    # Of a name beside others in turn nothing is told: Blip is in all rows, and isn't what they share.
    names = [
        read(Row(str(i), f"Is {n} Blip zorp?", "x")) for i, n in enumerate(["Ann", "Tim", "Sue", "Jon"] * 2)
    ]
    assert spreads(names, lambda word: word == "zorp") == {"zorp": (8, 6)}


def test_the_same_request_in_another_order_and_a_long_one_have_the_same_answer():
    request = with_word(HONEST, "zorp", 0.33)
    turned = replace(request, rows=request.rows[::-1])
    p_values = [{f.p_value for f in strange_words(r, EVIDENCE, alpha=1.0)} for r in (request, turned)]
    assert p_values[0] == p_values[1]
    many = Request("m", tuple(replace(row, id=f"{row.id}/{k}") for k in range(5) for row in request.rows))
    named = {f.row_id.partition("/")[0] for f in strange_words(many, EVIDENCE)}
    assert named == {f.row_id for f in strange_words(request, EVIDENCE, alpha=1.0)}


@pytest.mark.parametrize("alpha", [0.0, 1.1, float("nan")])
def test_a_level_that_is_none_is_refused(alpha):
    with pytest.raises(InputError, match="alpha"):
        strange_words(HONEST, EVIDENCE, alpha=alpha)
