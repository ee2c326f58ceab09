"""People's words are kept for one screening, and no longer."""

from forgetwell.requests.features import mark
from forgetwell.requests.kept_texts import keeping_texts, kept
from forgetwell.requests.screening import Evidence, run_screens
from forgetwell.requests.tokens import tokens_of
from forgetwell.requests.words import words
from forgetwell.types import Request, Row


def test_a_text_is_read_once_within_a_block_and_anew_behind_it():
    read = []

    @kept
    def length(text):
        read.append(text)
        return len(text)

    with keeping_texts():
        with keeping_texts():
            assert (length("abc"), length("abc")) == (3, 3)
        assert length("abc") == 3
        assert read == ["abc"]
        assert (length("a" * 2001), length("a" * 2001)) == (2001, 2001)
    assert len(read) == 3
    assert length("abc") == 3
    assert len(read) == 4


def test_a_screening_leaves_nothing_behind():
    rows = tuple(Row(str(k), f"Where was person {k} born?", "-") for k in range(8))
    run_screens(Request("r", rows), Evidence(rows))
    for read in (words, mark, tokens_of):
        assert read(rows[0].prompt) is not read(rows[0].prompt)
