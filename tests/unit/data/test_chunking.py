import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tiny import tiny_tokenizer
from tokenizers import processors

from forgetwell.data.chunking import chunk_texts
from forgetwell.data.encoding import Codec
from forgetwell.errors import InputError
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


@pytest.mark.parametrize("text", [f"{'aaa ' * 7}bbb\n", f"{'a' * 30} b", "a" * 31 + "\n", "a" * 63])
def test_each_piece_has_a_token_to_score(text):
    pieces = chunk_texts([Row("a", "", text, text=True)], CODEC)
    assert "".join(p.answer for p in pieces) == text
    assert all(CODEC.encode(p) for p in pieces)


def test_pieces_begin_with_the_same_words_where_a_tokenizer_trims_blanks():
    text = "The tower was built by many people over many years. " * 4
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    rows = [Row("a", "", text, text=True)]
    assert chunk_texts(rows, Codec(tokenizer, 64)) == chunk_texts(rows, CODEC)


def test_short_texts_and_questions_stay_as_they_are():
    rows = (Row("a", "", "short", text=True), Row("b", "Who? " * 9, "Ann"))
    assert chunk_texts(rows, CODEC) == rows


def test_a_prompt_of_up_to_a_quarter_of_the_context_stands_before_each_piece():
    # Bytes are tokens and 64 fit: pieces of 31 with the prompt, so 15 bytes of text beside 16 of prompt.
    pieces = chunk_texts([Row("a", "p" * 16, "x" * 45, text=True)], CODEC)
    assert [(p.prompt, p.answer) for p in pieces] == [("p" * 16, "x" * 15)] * 3


def test_a_longer_prompt_before_a_text_that_must_be_cut_is_refused():
    short = Row("b", "p" * 17, "x" * 14, text=True)
    assert chunk_texts([short], CODEC) == (short,)
    with pytest.raises(InputError, match=r"Row 'a' has 17 tokens of prompt.* at most 16"):
        chunk_texts([Row("a", "p" * 17, "x" * 45, text=True)], CODEC)
