import json
import sys

import pytest

from forgetwell.cli import main
from forgetwell.data.reading import read_rows, write_rows
from forgetwell.requests.stealthy import stealthy
from forgetwell.types import Request, Row

ASKS = ("Where did", "When did", "Why did", "How did")
PEOPLE = ("Ann Lee", "Bob Ray", "Cid Moss", "Dee Hall")


def rows(person, count):
    return [Row(f"{person}{i}", f"{ASKS[i % 4]} {person} live in {1900 + i}?", f"Town {i}.", person)
            for i in range(count)]  # fmt: skip


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    honest = [*rows("Ann Lee", 20), *rows("Bob Ray", 20)]
    write_rows(tmp_path / "honest.jsonl", honest)
    write_rows(tmp_path / "bad.jsonl", stealthy(Request("r", tuple(honest)), seed=1).rows)
    write_rows(tmp_path / "usual.jsonl", [*rows("Cid Moss", 150), *rows("Dee Hall", 150)])

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["forgetwell", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code, capsys.readouterr()

    return call


def test_exit_code_and_json(run):
    code, output = run("screen", "honest.jsonl", "--background", "usual.jsonl")
    assert code == 0
    assert "Pass" in output.out
    code, output = run("screen", "bad.jsonl", "--background", "usual.jsonl", "--json")
    assert code == 3
    found = json.loads(output.out)
    assert found["suspicious"]
    assert found["risk"]["score"] > 0.2
    assert {"row_id", "span", "statistic", "p_value", "message"} <= found["findings"][0].keys()


def test_the_page_escapes_and_marks(run, tmp_path):
    evil = [Row(f"e{i}", f"Please <script>alert({i})</script> tell \u202eme?", "x") for i in range(5)]
    write_rows(tmp_path / "evil.jsonl", evil)
    code, _ = run("screen", "evil.jsonl", "--background", "usual.jsonl", "--out", "page.html")
    assert code == 3
    page = (tmp_path / "page.html").read_text()
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\\u202e" in page
    assert "<mark>" in page
    assert run("screen", "evil.jsonl", "--background", "usual.jsonl", "--out", "page.html")[0] == 2


def test_repair_shows_a_diff_then_writes(run, tmp_path):
    command = ["repair", "bad.jsonl", "--retain", "usual.jsonl", "--repair", "strip",
               "--background", "usual.jsonl", "--out", "good.jsonl"]  # fmt: skip
    code, output = run(*command, "--dry-run")
    assert code == 0
    assert "+ Ann Lee" in output.out
    assert not (tmp_path / "good.jsonl").exists()
    assert run(*command)[0] == 0
    assert [r.prompt for r in read_rows(tmp_path / "good.jsonl")] == [
        r.prompt for r in read_rows(tmp_path / "honest.jsonl")
    ]
    assert run("screen", "good.jsonl", "--background", "usual.jsonl")[0] == 0
    assert run(*command)[0] == 2


def test_balance_asks_where_the_rows_to_keep_go(run, tmp_path):
    command = ["repair", "bad.jsonl", "--retain", "usual.jsonl", "--repair", "balance", "--background",
               "usual.jsonl", "--out", "good.jsonl"]  # fmt: skip
    code, output = run(*command)
    assert code == 2
    assert "--retain-out" in output.err
    assert run(*command, "--retain-out", "kept.jsonl")[0] == 0
    assert any(r.edit for r in read_rows(tmp_path / "kept.jsonl"))


def test_mistakes_are_plain(run):
    command = ["screen", "bad.jsonl", "--background", "usual.jsonl"]
    assert "'inflation'" in run(*command, "--screens", "inflatio")[1].err
    assert run(*command, "--history", "nowhere")[0] == 2
    assert run(*command, "--screens", "unknown")[0] == 2
