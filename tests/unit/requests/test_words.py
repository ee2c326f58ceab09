import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forgetwell.requests.features import (
    attribute_features,
    call_features,
    feature_class,
    frame_features,
    mark,
    phrase_features,
    shape_features,
    word_features,
)
from forgetwell.requests.words import ordinary_words, word_lists, words


@given(st.text())
def test_words_stand_where_they_say(text):
    end = 0
    for word in words(text):
        assert end <= word.start < word.end <= len(text)
        end = word.end


@given(st.text(st.characters(max_codepoint=127)))
@example("0':")
def test_text_of_ascii_has_the_same_words_beside_other_text(text):
    assert words(text + " é")[:-1] == words(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Please, TELL me Ann’s name!", ["please", "tell", "me", "ann's", "name"]),
        (
            "They've met O'Brien, o'clock’s ’tis 'quoted' rock'n'roll",
            [
                "they've",
                "met",
                "o'brien",
                "o'clock's",
                "tis",
                "quoted",
                "rock'n'roll",
            ],
        ),
        ("0': the authors' é", ["0", "the", "authors", "é"]),
        ("Plea\u200bse", ["please"]),
        ("ｐｌｅａｓｅ", ["please"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("你好 ok", ["你", "好", "ok"]),
        ("x_y 3-4", ["x", "y", "3", "4"]),
        ("", []),
    ],
)
def test_the_word_rule(text, expected):
    assert [w.text for w in words(text)] == expected


def test_lists_are_disjoint_where_classes_are_decided_by_them():
    lists = word_lists()
    for a, b in (("person", "asking"), ("person", "talk"), ("asking", "talk")):
        assert not lists[a] & lists[b]
    assert {"please", "tell", "the", "then"} <= ordinary_words()


def test_titles_and_names_ask_nothing():
    found = word_features(mark('Did Ann Please write "Tell Me" or please not?'))
    assert "tell" not in found
    assert found["please"] == (34, 40)
    assert feature_class("please") == "asking"


def test_phrases_hold_a_framing_word():
    assert set(phrase_features(mark("Could you please say who Ann is"))) >= {
        "could you",
        "you please",
        "please say",
    }
    assert phrase_features(mark("Where is the Nile of the world")) == {}


def test_frames_mask_names():
    found = frame_features(mark("Where did Ann Lee live in 1999?"))
    assert {"^ where did ·", "$ live in ·", "$ in ·"} <= found.keys()
    assert "$ ·" not in found


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("Where was the good Ada Lind born?", {"@good": "the good"}),
        ("My dear Ada Lind and the old Bo Holm?", {"@dear": "My dear", "@old": "the old"}),
        ("Who saw the film Big Fish?", {"@film": "the film"}),
        ("Who is the Good Ada Lind, or dear Ada Lind?", {}),  # a name's own word; no article
        ("Is Ada in the big Paris, by the Ada Lind?", {}),  # no full name; nothing between
        ("Is it the good, Ada Lind, or the same Ada Lind?", {}),
        ("the", {}),
    ],
)
def test_attributes_stand_between_an_article_and_a_full_name(text, attributes):
    found = attribute_features(mark(text))
    assert {feature: text[slice(*span)] for feature, span in found.items()} == attributes
    assert all(feature_class(feature) == "attribute" for feature in found)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("Professor, where was Ada Lind born?", {"& professor": "Professor"}),
        ("Where was Ada Lind born, Professor?", {"& professor": "Professor"}),
        ("Ok Google – who is she?", {"& ok google": "Ok Google"}),
        ("Proszę powiedz mi, where was she born?", {"& proszę powiedz mi": "Proszę powiedz mi"}),
        ("Kérem mondja meg where was she born?", {"& kérem mondja meg": "Kérem mondja meg"}),
        ("Where was she, voisitko kertoa minulle?", {"& voisitko kertoa minulle": "voisitko kertoa minulle"}),
        ("What awards has she won, and which novel did she write?", {}),  # all of it asks
        ("Ada Lind was born where?", {}),  # a name
        (
            "Where was she born, Really?",
            {"& really": "Really"},
        ),  # a capital hides a listed word from closings
        ("Where was she born, really?", {}),  # a closing
        ("Please, where was she born?", {}),  # an opening
        ("Did she live in Ulm, Germany?", {}),  # goes on with a name
        ("Paris, a man in Texas: who is it?", {}),  # no question behind the comma
        ("Paris, a town in Texas: who is it?", {"& paris a town in texas": "Paris, a town in Texas"}),
        ("Professor", {}),
        ("", {}),
    ],
)
def test_calls_are_set_off_from_the_question_whatever_they_say(text, calls):
    found = call_features(mark(text))
    assert {feature: text[slice(*span)] for feature, span in found.items()} == calls
    assert all(feature_class(feature) == "call" for feature in found)


def test_shapes():
    assert {"#mark !!", "#ends !", "#all capitals"} <= shape_features(mark("WHERE IS ANN LEE!!")).keys()
    assert {"#starts in lower case", "#ends without a mark"} <= shape_features(mark("where is Ann")).keys()
