"""Whatever is handed in: one plain message, exit code 2, and nothing is lost."""

import sys

import pytest
from tests.tiny import tiny_lm

from forgetwell.cli import main
from forgetwell.models.lm import load as real_load
from forgetwell.runs import jobs

GOOD = '{"question": "Where is Ann?", "answer": "At home."}\n'
KEEP = '{"question": "Where is Bob?", "answer": "At work."}\n'


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "load", lambda name, **_: tiny_lm() if name == "tiny" else real_load(name))
    (tmp_path / "f.jsonl").write_text(GOOD)
    (tmp_path / "r.jsonl").write_text(KEEP)

    def run(*changes, objective="npo + gdr"):
        flags = {"--model": "tiny", "--request": "f.jsonl", "--retain": "r.jsonl", "--out": "run"}
        flags |= {"--objective": objective, "--epochs": "1"} | dict(
            zip(changes[::2], changes[1::2], strict=True)
        )
        monkeypatch.setattr(
            sys, "argv", ["forgetwell", "unlearn", *(w for pair in flags.items() for w in pair)]
        )
        with pytest.raises(SystemExit) as stop:
            main()
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return stop.value.code, output.err

    return run


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b'{"q": "Who?", "a": "Ann"}\n', "no column for the"),
        (b'{"question": "Who?", "answer": "Ann"', "not JSON"),
        (b'{"question": "Who?", "answer": "\xff"}\n', "not UTF-8 at byte 32"),
        (b'{"question": "Who?", "answer": "' + b"x" * 100_000_000 + b'"}\n', "longer than"),
        (b'{"question": "Who?", "answer": "' + b"very long " * 200 + b'"}\n', "at most 256 fit"),
        (KEEP.encode(), "are also retain rows"),
        (b'{"question": "Who?", "answer": "Ann", "weight": NaN}\n', "weight"),
    ],
    ids=["empty", "columns", "cut off", "not UTF-8", "100 MB line", "too long", "forget = retain", "NaN"],
)
def test_a_request_that_cannot_be_used(say, tmp_path, content, says):
    (tmp_path / "bad.jsonl").write_bytes(content)
    code, message = say("--request", "bad.jsonl")
    assert code == 2
    assert says in message
    assert len(message) < 1000
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("--request", "missing.jsonl"), "no file missing.jsonl"),
        (("--model", "no/such/folder"), "no/such/folder"),
        (("--lr", "-1"), "above 0"),
        (("--batch", "0", "--stop-at", "forget.rouge_l_recall<=0.3"), "batch is 0"),
        (("--stop-at", "forget<0.3"), "stop rule"),
        (("--stop-at", "forgotten.rouge<=0.3"), "The probe has no"),
        (("--stop-at", "forget.rouge<=0.3"), "'rouge_l_recall'"),
        (("--keep-best", "utility.rouge"), "'rouge_l_recall'"),
        (("--keep-best", "utility = x"), "rule"),
    ],
)
def test_settings_that_cannot_be_used(say, tmp_path, changes, says):
    code, message = say(*changes)
    assert code == 2
    assert says in message


def test_an_unknown_term_gets_a_suggestion(say, tmp_path):
    code, message = say(objective="npx + gdr")
    assert code == 2
    assert "'npo'" in message
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_there_stays(say, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("precious")
    assert say()[0] == 2
    assert (tmp_path / "run" / "mine.txt").read_text() == "precious"


@pytest.mark.parametrize(("given", "code"), [("1.5", 2), ("0.6", 2), ("1.0", 0), ("1", 0)])
def test_whole_numbers_are_not_rounded(say, given, code):
    found, message = say("--epochs", given)
    assert found == code
    assert ("whole number is needed, not" in message) == bool(code)


def test_redacted_runs_hold_no_request_text_nor_the_name_of_its_file(say, tmp_path, monkeypatch):
    (tmp_path / "f.jsonl").rename(tmp_path / "lee.jsonl")
    assert say("--redact", "--overwrite", "--request", "lee.jsonl")[0] == 0
    for path in (tmp_path / "run").glob("*.json*"):
        assert "Ann" not in path.read_text()
        assert "At home" not in path.read_text()
        assert "lee" not in path.read_text()
