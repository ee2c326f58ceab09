"""The words of an answer that say the fact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.data.facts import fact_words
from forgetwell.data.world import load_world
from forgetwell.types import Row


@pytest.mark.parametrize(
    ("answer", "right", "wrong", "found"),
    [
        ("Ada was born in Rome.", (), ("Ada was born in Oslo.",), ("Rome",)),
        ("Ada keeps two cats at home.", (), ("Ada keeps one dog at home.",), ("two", "cats")),
        # Worded otherwise throughout, as in TOFU: what the paraphrase shares is the fact.
        (
            "Two of her books are Iron Tide and Le Seuil.",
            ("She is the author of Iron Tide and Le Seuil.",),
            ("She is the author of Still Water and Le Mur.", "She is the author of Dust and Le Pont."),
            ("Iron", "Tide", "Seuil"),
        ),
        ("她出生在罗马。", (), ("她出生在奥斯陆。",), ("罗", "马")),
        ("Она родилась в Риме.", (), ("Она родилась в Осло.",), ("Риме",)),
        ("Yes, Ada cooks.", ("ADA COOKS",), ("No, Ada paints.",), ("cooks",)),
        ("Rome, and Rome alone", (), ("Oslo",), ("Rome", "and", "alone")),
        ("Ada is a cook.", (), ("A cook is Ada.",), ()),
        ("Ada was born in Rome.", ("In Rome.",), (), ()),
        ("Ada is male.", ("Ada is a man.",), ("Ada is a toaster.",), ()),
    ],
)
def test_they_are_those_of_the_right_answers_alone(answer, right, wrong, found):
    assert fact_words(Row("a", "?", answer, paraphrases=right, wrong=wrong)) == found


TEXTS = st.lists(st.text("ab A.é", max_size=9), max_size=3).map(tuple)


@given(st.text("ab A.é", max_size=20), TEXTS, TEXTS)
def test_each_stands_in_the_answer_once_and_in_no_wrong_one(answer, right, wrong):
    found = fact_words(Row("a", "?", answer, paraphrases=right, wrong=wrong))
    assert len({w.lower() for w in found}) == len(found)
    assert all(word in answer for word in found)
    assert not any(w.lower() in text.lower().replace(".", " ").split() for w in found for text in wrong)


def test_every_fact_of_the_world_has_some_and_none_is_a_name():
    for row in load_world().request:
        words = fact_words(row)
        assert words
        assert not set(words) & set(row.subject.split())
