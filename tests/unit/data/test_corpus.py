import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.data.corpus import continuations, read_documents
from forgetwell.data.row_files import thinned
from forgetwell.errors import InputError, MissingError


def cut(text, **more):
    return continuations([text], "t", **({"prompt_words": 3, "answer_words": 2} | more))


def test_passages_follow_one_another():
    rows = cut("one two  three\nfour five six seven eight nine ten eleven")
    assert [(r.prompt, r.answer) for r in rows] == [
        ("one two  three", "\nfour five"),
        ("six seven eight", " nine ten"),
    ]
    assert all(r.text for r in rows)


def test_a_short_document_is_divided_in_the_same_proportion():
    assert [(r.prompt, r.answer) for r in cut("one two three four")] == [("one two", " three four")]
    with pytest.raises(InputError, match="4 words"):
        cut("one two three")


@given(st.text(alphabet="ab \n\u00a0é🙂", max_size=200), st.integers(1, 9), st.integers(1, 9))
def test_a_passage_is_a_piece_of_its_text(text, prompt, answer):
    if len(text.split()) < 4:
        return
    rows = cut(text, prompt_words=prompt, answer_words=answer)
    assert rows
    place = 0
    for row in rows:
        assert row.prompt.strip()
        assert row.answer.strip()
        place = text.index(row.prompt + row.answer, place) + len(row.prompt + row.answer)


def test_thinned_rows_are_spread_evenly():
    assert list(thinned(range(10), 4)) == [0, 2, 5, 7]
    assert list(thinned(range(3), 5)) == [0, 1, 2]
    with pytest.raises(InputError, match="at least 1"):
        thinned([1], 0)


def test_documents_come_from_text_and_from_rows(tmp_path):
    text, rows = tmp_path / "a.txt", tmp_path / "a.jsonl"
    text.write_bytes("\ufeffA book.".encode())
    rows.write_text("".join(json.dumps({"text": t}) + "\n" for t in ("One.", "Two.")))
    assert read_documents(text) == ("A book.",)
    assert read_documents(rows) == ("One.", "Two.")


@pytest.mark.parametrize(
    ("content", "says"), [(b"\xff\xfe\xfa", "not UTF-8"), (b"a\0b", "NUL"), (b" \n", "no text")]
)
def test_unusable_text_is_refused(tmp_path, content, says):
    file = tmp_path / "a.txt"
    file.write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_documents(file)


def test_questions_are_no_corpus(tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"question": "q", "answer": "a"}\n')
    with pytest.raises(InputError, match="plain text"):
        read_documents(file)
    with pytest.raises(MissingError):
        read_documents(tmp_path / "none.txt")
