import multiprocessing
import os
import shutil
import signal
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forgetwell.errors import InputError, MissingError
from forgetwell.files import WriteFailed
from forgetwell.runs.ledger import Moved, append, history_of, read, require_whole, root_of, verify


def run(made, start):
    return ("run", {"made": made, "from": start, "run": "r", "objective": "npo"})


def test_entries_form_a_chain_and_come_back(tmp_path):
    path = tmp_path / "l.sqlite"
    append(path, [("request", {"digest": "d", "rows": 3, "subjects": 1})])
    append(path, [run("b", "a"), ("decision", {"decision": "fail"})])
    entries = read(path)
    assert [e.number for e in entries] == [1, 2, 3]
    assert entries[1].previous == entries[0].hash
    chain = verify(entries)
    assert (chain.entries, chain.head, chain.broken) == (3, entries[-1].hash, None)


@pytest.mark.parametrize("statement", ["UPDATE entries SET time = ''", "DELETE FROM entries"])
def test_sqlite_itself_refuses_to_change_or_remove_entries(tmp_path, statement):
    path = tmp_path / "l.sqlite"
    append(path, [run("b", "a")])
    with sqlite3.connect(path) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)


def tampered(path, statement, *values):
    with sqlite3.connect(path) as connection:
        connection.executescript("DROP TRIGGER no_update; DROP TRIGGER no_delete;")
        connection.execute(statement, values)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE entries SET body = replace(body, 'b2', 'x2') WHERE number = 2", 2),
        ("UPDATE entries SET time = '2020-01-01T00:00:00+00:00' WHERE number = 1", 1),
        ("UPDATE entries SET kind = 'release' WHERE number = 3", 3),
        ("DELETE FROM entries WHERE number = 2", 2),
        ("UPDATE entries SET number = 9 WHERE number = 3", 3),
    ],
)
def test_tampering_shows_at_the_entry_and_blocks_the_gate(tmp_path, statement, broken):
    path = tmp_path / "l.sqlite"
    append(path, [run(f"b{k}", "a") for k in range(1, 4)])
    tampered(path, statement)
    assert verify(read(path)).broken == broken
    with pytest.raises(InputError, match=f"entry {broken}"):
        require_whole(path, read(path))


def test_a_shortened_ledger_shows_against_a_kept_head(tmp_path):
    path = tmp_path / "l.sqlite"
    head = append(path, [run("b", "a"), run("c", "b")])[-1].hash
    tampered(path, "DELETE FROM entries WHERE number = 2")
    chain = verify(read(path))
    assert chain.broken is None
    assert chain.head != head


def dies_while_writing(path, rows):
    def entries():
        for number in range(200 if rows else 1):
            yield (
                "evaluation",
                {"model": f"m{number}", "rows": {f"row{k}-{number}": 0.5 for k in range(rows)}},
            )
        os.kill(os.getpid(), signal.SIGKILL)

    append(path, entries())


@pytest.mark.parametrize("rows", [0, 2000], ids=["nothing is in the file yet", "part of it is in the file"])
def test_a_writer_killed_in_the_middle_leaves_nothing(tmp_path, rows):
    path = tmp_path / "l.sqlite"
    append(path, [run("b", "a")])
    process = multiprocessing.get_context("spawn").Process(target=dies_while_writing, args=(path, rows))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert path.with_name("l.sqlite-journal").exists()
    assert [e.kind for e in history_of(path)] == ["run"]  # who reads takes it back
    append(path, [run("c", "b")])
    assert [e.body["made"] for e in read(path)] == ["b", "c"]
    assert verify(read(path)).broken is None


def writes(path, name):
    for k in range(10):
        append(path, [run(f"{name}{k}", "a")])


def test_concurrent_writers_form_one_chain(tmp_path):
    path = tmp_path / "l.sqlite"
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=writes, args=(path, name)) for name in "xyz"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    entries = read(path)
    assert len(entries) == 30
    assert verify(entries).broken is None
    for name in "xyz":  # each writer's own order is kept
        own = [e.body["made"] for e in entries if e.body["made"].startswith(name)]
        assert own == [f"{name}{k}" for k in range(10)]


def test_what_was_decided_on_an_older_ledger_is_not_added(tmp_path):
    path = tmp_path / "l.sqlite"
    (first,) = append(path, [run("b", "a")], after="")
    append(path, [run("c", "b")], after=first.hash)
    for seen in ("", first.hash):
        with pytest.raises(Moved, match="try again"):
            append(path, [("decision", {"decision": "pass"})], after=seen)
    assert len(read(path)) == 2


def test_an_entry_that_cannot_be_written_takes_the_others_with_it(tmp_path):
    path = tmp_path / "l.sqlite"
    append(path, [run("b", "a")])
    for place in (path, tmp_path / "new.sqlite"):
        with pytest.raises(ValueError, match="JSON"):
            append(place, [run("c", "b"), ("decision", {"value": float("nan")})])
    assert len(read(path)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["l.sqlite"]


def test_other_files_are_refused_with_a_plain_message(tmp_path):
    with pytest.raises(MissingError):
        read(tmp_path / "none.sqlite")
    (tmp_path / "text").write_text("not a database, but long enough to be read as one " * 40)
    with pytest.raises(InputError, match="ledger"):
        append(tmp_path / "text", [run("b", "a")])
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(InputError, match="another program"):
        append(other, [run("b", "a")])
    assert other.read_bytes() == before


def test_a_fact_is_recorded_once_and_an_act_each_time(tmp_path):
    path = tmp_path / "l.sqlite"
    assert len(append(path, [run("b", "a"), run("b", "a"), ("decision", {"decision": "fail"})])) == 2
    assert len(append(path, [run("b", "a"), ("decision", {"decision": "fail"})])) == 1
    assert [e.kind for e in read(path)] == ["run", "decision", "decision"]


def _record(path):
    return len(append(path, [("request", {"digest": "d"}), run("b", "a")]))


def test_concurrent_first_writers_make_one_ledger_with_each_fact_once(tmp_path):
    path = tmp_path / "l.sqlite"
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert sorted(pool.map(_record, [path] * 8, chunksize=1)) == [0] * 7 + [2]
    assert [e.kind for e in read(path)] == ["request", "run"]


def test_an_empty_file_is_no_new_ledger(tmp_path):
    """Entries may be lost, as by a copy that failed."""
    path = tmp_path / "l.sqlite"
    assert history_of(path) == ()
    path.touch()
    with pytest.raises(InputError, match="is empty"):
        history_of(path)
    with pytest.raises(InputError, match="is empty"):
        append(path, [run("b", "a")])
    assert not path.stat().st_size


@pytest.mark.parametrize(
    "change",
    [
        "body = '[1,2]'",
        "body = '3'",
        "body = '{oops'",
        "body = '{\"a\":NaN}'",
        "body = '{\"a\":1e999}'",
        "body = x'00ff'",
        "body = CAST(x'7b22ff227d' AS TEXT)",
        "time = x'00ff'",
        "kind = CAST(x'ff' AS TEXT)",
        "previous = x'00'",
        "hash = x'00'",
        "kind = 'screening', body = '{}'",
    ],
)
def test_an_entry_of_which_nothing_can_be_read_is_a_break_in_the_chain(tmp_path, change):
    path = tmp_path / "l.sqlite"
    append(path, [run(f"b{k}", "a") for k in range(1, 4)])
    tampered(path, f"UPDATE entries SET {change} WHERE number = 2")
    assert verify(read(path)).broken == 2
    with pytest.raises(InputError, match="entry 2 does not follow"):
        append(path, [run("c", "b")])


def test_a_deep_body_is_a_break_in_the_chain(tmp_path):
    path = tmp_path / "l.sqlite"
    append(path, [run("b", "a")])
    tampered(path, "UPDATE entries SET body = ?", "[" * 200_000)
    assert verify(read(path)).broken == 1


@pytest.mark.parametrize("statement", ["DROP TABLE entries", "ALTER TABLE entries DROP COLUMN time"])
def test_a_ledger_without_its_table_is_a_changed_one(tmp_path, statement):
    path = tmp_path / "l.sqlite"
    append(path, [run("b", "a")])
    tampered(path, statement)
    for act in (lambda: read(path), lambda: append(path, [run("c", "b")])):
        with pytest.raises(InputError, match=r"was changed.*Restore"):
            act()


def test_a_folder_in_the_way_is_a_plain_error(tmp_path):
    (tmp_path / "l.sqlite").mkdir()
    with pytest.raises(WriteFailed, match="Nothing was added"):
        append(tmp_path / "l.sqlite", [run("b", "a")])


def test_the_root_is_the_first_ancestor_and_cycles_end(tmp_path):
    path = tmp_path / "l.sqlite"
    append(path, [run("b", "a"), run("c", "b"), run("d", "c"), run("x", "y"), run("y", "x")])
    entries = read(path)
    assert root_of(entries, "d") == "a"
    assert root_of(entries, "new") == "new"
    assert root_of(entries, "x") in {"x", "y"}


BODIES = st.dictionaries(
    st.text(max_size=8),
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    max_size=4,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(BODIES, min_size=1, max_size=4))
def test_any_json_comes_back_with_its_hash(tmp_path, bodies):
    path = tmp_path / "many" / "l.sqlite"
    shutil.rmtree(path.parent, ignore_errors=True)
    append(path, [("decision", body) for body in bodies])
    entries = read(path)
    assert [dict(e.body) for e in entries] == bodies
    assert verify(entries).broken is None
