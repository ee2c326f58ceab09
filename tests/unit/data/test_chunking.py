from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tiny import tiny_tokenizer

from forgetwell.data.chunking import chunk_texts
from forgetwell.data.encoding import Codec
from forgetwell.types import Row

CODEC = Codec(tiny_tokenizer(), 64)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=2, max_size=300))
def test_pieces_put_together_are_the_text_and_each_fits_half_the_context(text):
    pieces = chunk_texts([Row("a", "", text, text=True)], CODEC)
    assert "".join(p.answer for p in pieces) == text
    # A character of several tokens may stand over the edge where no word begins.
    assert all(CODEC.count(p.answer) <= 32 for p in pieces)
    assert len({p.id for p in pieces}) == len(pieces)


def test_pieces_begin_with_a_word():
    text = "The tower was built by many people over many years. " * 4
    pieces = chunk_texts([Row("a", "", text, text=True)], CODEC)
    assert len(pieces) > 4
    assert all(p.answer.startswith(" ") for p in pieces[1:])


def test_short_texts_and_questions_stay_as_they_are():
    rows = (Row("a", "", "short", text=True), Row("b", "Who? " * 9, "Ann"))
    assert chunk_texts(rows, CODEC) == rows
