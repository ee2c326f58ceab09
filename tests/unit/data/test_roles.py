import json

import pytest

from forgetwell.data.roles import read_role_sets
from forgetwell.errors import InputError

ROW = {"question": "Who is Ann?", "answer": "A spy."}


def write(path, records):
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return path


def test_rows_are_grouped_by_role_and_set(tmp_path):
    given = [
        ("forget", None),
        ("utility", "maths"),
        ("utility", "towns"),
        ("holdout", ""),
        ("utility", "maths"),
    ]
    file = write(tmp_path / "mine.jsonl", [ROW | {"role": r, "set": s} for r, s in given])
    found = [(s.name, s.role, [r.id for r in s.rows]) for s in read_role_sets(file)]
    assert found == [
        ("forget", "forget", ["mine-1"]),
        ("maths", "utility", ["mine-2", "mine-5"]),
        ("towns", "utility", ["mine-3"]),
        ("holdout", "holdout", ["mine-4"]),
    ]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (ROW, "line 2: expected an object with a column 'role'"),
        (ROW | {"role": "keep"}, "line 2: role is 'keep'"),
        (ROW | {"role": ["forget"]}, "line 2: role is"),
        (ROW | {"role": "utility", "set": "<b>"}, "line 2: set is '<b>'"),
        (ROW | {"role": "utility", "set": "a"}, "several roles"),
        (ROW | {"role": "retain", "set": "utility"}, "all that has the role utility"),
        (ROW | {"role": "forget"}, "all that has the role forget"),
        ({"role": "forget", "question": "q"}, "line 2: no column for the answer"),
        ([1], "line 2: expected an object"),
    ],
)
def test_mistakes_name_their_line(tmp_path, record, says):
    file = write(tmp_path / "mine.jsonl", [ROW | {"role": "forget", "set": "a"}, record])
    with pytest.raises(InputError, match=says):
        read_role_sets(file)


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="empty"):
        read_role_sets(write(tmp_path / "mine.jsonl", []))
