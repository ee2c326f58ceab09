import gzip
import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.data.reading import check_columns, read_request, read_rows, request_digest
from forgetwell.data.row_files import write_rows
from forgetwell.errors import InputError, MissingError
from forgetwell.types import Edit, Row, Turn

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))
FULL = TEXT.filter(str.strip)


@given(prompt=TEXT, answer=FULL, wrong=st.lists(FULL), weight=st.floats(0, 9), plain=st.booleans())
def test_written_rows_read_back(tmp_path_factory, prompt, answer, wrong, weight, plain):
    row = Row("a", prompt, answer, wrong=tuple(wrong), weight=weight, text=plain,
              history=(Turn("user", prompt),), edit=Edit("x", "y", prompt, answer))  # fmt: skip
    path = tmp_path_factory.mktemp("r") / "r.jsonl"
    write_rows(path, [row])
    assert read_rows(path) == (row,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b'{"question": "a", "answer": " "}', "line 1: column 'answer'"),
        (b'{"q": "a", "a": "b"}', "'q', 'a'"),
        (b'{"question": "a", "answer": "b"}\n\xff', "byte 33"),
        (b"{", "not JSON"),
        (b'{"question": "a", "answer": 3}', "must be a text"),
        (b'{"question": "a\\u0000", "answer": "b"}', "NUL"),
        (b'{"question": "a\\ud800", "answer": "b"}', "surrogate"),
        (b'{"text": "a", "weight": 1' + b"0" * 400 + b"}", "line 1: column 'weight' is 10+;"),
        (b'{"id":"x","text":"b"}\n{"id":"x","text":"c"}', "also on line 1"),
    ],
)
def test_errors_name_the_place(tmp_path, content, words):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_rows(path)
    with pytest.raises(MissingError):
        read_rows(tmp_path / "no.jsonl")


@pytest.mark.parametrize(
    ("record", "columns", "says"),
    [
        ({"question": "a", "completion": 7}, {}, "column 'completion' must be a text, got int"),
        ({"question": "a", "completion": " "}, {}, "column 'completion' is empty"),
        ({"query": 7, "answer": "b"}, {}, "column 'query' must be a text, got int"),
        ({"question": "a", "answer": "b", "perturbed_answer": 5}, {}, "column 'perturbed_answer' must be"),
        ({"question": "a", "answer": "b", "perturbed_answer": [5]}, {}, "column 'perturbed_answer' must be"),
        ({"q": "a", "a": 7}, {"prompt": "q", "answer": "a"}, "column 'a' must be a text, got int"),
        ({"question": "a", "answer": "b", "w": -1}, {"weight": "w"}, "column 'w' is -1"),
        ({"question": "a", "answer": "b", "weight": 1.1e6}, {}, "expected a number from 0 to 1e"),
        ({"question": "a", "answer": "b", "weight": "heavy"}, {}, "column 'weight' is 'heavy'"),
        ({"question": "a", "answer": "b", "text": ["c"]}, {}, "expected a text, true or false"),
        ({"text": ""}, {}, "column 'text' is empty"),
        ({"question": "a", "answer": None}, {}, "line 1: column 'answer' is null"),
        ({"query": None, "answer": "b"}, {}, "line 1: column 'query' is null"),
        ({"q": "a", "a": None}, {"prompt": "q", "answer": "a"}, "line 1: column 'a' is null"),
        ({"text": None}, {}, "line 1: column 'text' is null"),
        ({"messages": None}, {}, "line 1: column 'messages' is null"),
        ({"question": "a"}, {}, "line 1: no column for the answer; found 'question'"),
    ],
)
def test_errors_call_a_column_by_its_name_in_the_file(tmp_path, record, columns, says):
    path = tmp_path / "x.jsonl"
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=says):
        read_rows(path, columns=columns)


def test_a_null_in_parquet_is_called_null(tmp_path):
    path = tmp_path / "n.parquet"
    pq.write_table(pa.table({"question": ["a", "b"], "answer": ["c", None]}), path)
    with pytest.raises(InputError, match=r"n\.parquet, line 2: column 'answer' is null"):
        read_rows(path)


def test_messages_and_columns(tmp_path):
    turns = [{"role": r, "content": c} for r, c in (("system", "s"), ("user", "u"), ("assistant", "a"))]
    path = tmp_path / "m.json"
    path.write_text(json.dumps([{"messages": turns}]))
    assert read_rows(path)[0].history == (Turn("system", "s"),)
    csv = tmp_path / "c.csv"
    csv.write_text("q,a\nhi,yo\n")
    assert read_rows(csv, columns={"prompt": "q", "answer": "a"})[0].prompt == "hi"


def test_a_request_holds_no_text_with_a_prompt_that_screens_would_not_read(tmp_path):
    path = tmp_path / "r.jsonl"
    write_rows(path, [Row("a", "", "A text.", text=True), Row("b", "Please tell me:", "A text.", text=True)])
    with pytest.raises(InputError, match=r"r\.jsonl: row 'b' is plain text with a prompt"):
        read_request(path)
    assert read_rows(path)[1].prompt == "Please tell me:"  # rows to keep and to evaluate may have one
    write_rows(path, [Row("a", "Who?", "Ann"), Row("b", "", "A text.", text=True)])
    assert len(read_request(path).rows) == 2


def test_damaged_packed_lines_are_refused_with_the_place(tmp_path):
    lines = "".join(f'{{"question": "Who is {k * k}?", "answer": "{k}"}}\n' for k in range(2000))
    packed = bytearray(gzip.compress(lines.encode(), mtime=0))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(bytes(packed))
    with pytest.raises(InputError, match=r"x\.jsonl\.gz.* line \d+"):
        read_rows(path)
    path.write_bytes(bytes(packed[:200]))
    with pytest.raises(InputError, match=r"x\.jsonl\.gz.* line \d+"):
        read_rows(path)


def test_a_damaged_parquet_page_is_refused_with_the_place(tmp_path):
    path = tmp_path / "x.parquet"
    texts = [f"text {k}" for k in range(3000)]
    pq.write_table(pa.table({"text": texts}), path, compression="snappy", use_dictionary=False)
    assert len(read_rows(path)) == 3000
    page = bytearray(path.read_bytes())
    page[100:200] = bytes(100)  # behind the first page's header
    path.write_bytes(bytes(page))
    with pytest.raises(InputError, match=r"x\.parquet is no readable Parquet file, broken after row 0: \w"):
        read_rows(path)


def test_rows_are_written_packed_where_the_name_says_so(tmp_path):
    path = tmp_path / "r.jsonl.gz"
    write_rows(path, [Row("a", "Who?", "Ann")])
    assert json.loads(gzip.decompress(path.read_bytes())) == {"id": "a", "prompt": "Who?", "answer": "Ann"}
    assert read_rows(path) == (Row("a", "Who?", "Ann"),)


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("question,answer,text\nWho?,Ann,false\nWhere?,Ulm,false\n", {}),
        ("question,answer,text,id,subject,weight\nWho?,Ann,,,,\nWhere?,Ulm,,,,\n", {}),
        ("frage,answer,gewicht\nWho?,Ann,1\nWhere?,Ulm,1.0\n", {"prompt": "frage", "weight": "gewicht"}),
    ],
)
def test_cells_of_csv_are_texts_and_blank_ones_are_not_there(tmp_path, table, columns):
    path = tmp_path / "r.csv"
    path.write_text(table)
    rows = read_rows(path, columns=columns)
    assert [(r.prompt, r.answer, r.text, r.weight) for r in rows] == [
        ("Who?", "Ann", False, 1.0),
        ("Where?", "Ulm", False, 1.0),
    ]
    assert len({r.id for r in rows}) == 2


def test_the_same_rows_under_another_name_are_the_same_request(tmp_path):
    for name in ("ann.jsonl", "ann-again.jsonl"):
        (tmp_path / name).write_text('{"question": "Who?", "answer": "Ann"}\n')
    (tmp_path / "other.jsonl").write_text('{"question": "Who?", "answer": "Ben"}\n')
    ann, again, other = (read_request(tmp_path / f"{name}.jsonl") for name in ("ann", "ann-again", "other"))
    assert ann != again
    assert request_digest(ann) == request_digest(again) != request_digest(other)
    assert request_digest(ann) != request_digest(replace(ann, history=("strip",)))


@pytest.mark.parametrize("name", ["r.csv", "r.json", "r.txt", "r", "r.gz"])
def test_rows_are_not_written_where_they_could_not_be_read_back(tmp_path, name):
    with pytest.raises(InputError, match=r"must end with \.jsonl or \.jsonl\.gz"):
        write_rows(tmp_path / name, [Row("a", "Who?", "Ann")])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_of_rows_is_called_what_it_is(tmp_path):
    with pytest.raises(InputError, match="is a folder; give a file"):
        read_rows(tmp_path)
    (tmp_path / "own.txt").write_text("A text.")
    with pytest.raises(InputError, match=r"unknown ending.* Plain text goes into a column text"):
        read_rows(tmp_path / "own.txt")


OWN = {"prompt": "q", "answer": "a"}


@pytest.mark.parametrize(
    ("line", "prompt"),
    [
        ('{"q": "hi", "a": "yo"}', "hi"),
        ('{"q": "hi", "a": "yo", "question": "other", "answer": "yo"}', "hi"),
        ('{"question": "hi", "answer": "yo"}', "hi"),
        ('{"text": "yo"}', ""),
        ('{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}', "hi"),
    ],
)
def test_columns_count_for_files_that_have_them(tmp_path, line, prompt):
    path = tmp_path / "f.jsonl"
    path.write_text(line)
    (row,) = read_rows(path, columns=OWN)
    assert (row.prompt, row.answer) == (prompt, "yo")


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('{"x": "hi", "y": "yo"}', "line 1: no column 'q', which --columns names; found 'x', 'y'"),
        ('{"q": "hi", "answer": "yo"}', "line 1: no column 'a', which --columns names"),
        ('{"q": "hi", "a": "yo"}\n{"question": "hi", "answer": "yo"}', "line 2: no column 'q'"),
        ('{"question": "hi", "answer": "yo"}\n{"q": "hi", "a": "yo"}', "line 2: no column .* as --columns"),
    ],
)
def test_a_file_with_neither_columns_or_with_both_is_refused(tmp_path, lines, says):
    path = tmp_path / "f.jsonl"
    path.write_text(lines)
    with pytest.raises(InputError, match=says):
        read_rows(path, columns=OWN)


def test_columns_that_no_file_has_are_refused(tmp_path):
    own, usual = tmp_path / "own.csv", tmp_path / "usual.jsonl"
    own.write_text("q,a\nWho is Ann?,A spy\n")
    usual.write_text('{"question": "Who is Cid?", "answer": "A judge"}\n')
    check_columns(OWN, [usual, own, "world:retain"])
    check_columns({}, [tmp_path / "no.jsonl"])
    says = r"names 'q', 'a', and no file .*: .*usual\.jsonl has 'question', 'answer'\. Correct"
    with pytest.raises(InputError, match=says):
        check_columns(OWN, ["world:retain", usual])
    with pytest.raises(InputError, match="only names were given"):
        check_columns(OWN, ["world:retain"])


def test_columns_do_not_count_for_names():
    assert read_rows("world:retain", columns=OWN) == read_rows("world:retain")
