import errno
import json
import os
from dataclasses import replace

import pytest

from forgetwell.errors import InputError, MissingError
from forgetwell.files import WriteFailed, read_jsonl, write_jsonl
from forgetwell.runs.folder import read_manifest, trim_log
from forgetwell.runs.records import (
    is_complete,
    is_run,
    load_answers,
    load_evaluation,
    load_results,
    read_log,
    require_run,
    save_evaluation,
)
from forgetwell.suites.evaluate import Evaluation
from forgetwell.types import Generation, Record, Result, Row, TokenScores

ROW = Row("r1", "Where is it?", "In the old town")
RESULT = Result("m", "rouge_l_recall", "retain/clean", 0.5, 0.4, 0.6, 2, "high", 1)
RECORDS = (
    Record(ROW, answer=TokenScores((-0.1, -0.2), (True, True)), generated=Generation("In the town", 3, True)),
    Record(Row("r2", "Who?", "Nobody")),
)
EVALUATION = Evaluation(
    model="m",
    suite="s",
    max_new_tokens=8,
    roles={"retain": "utility"},
    records={"retain/clean": RECORDS},
    results=(RESULT,),
    left_out=("privleak needs rows of holdout/clean.",),
)


def test_an_evaluation_comes_back_as_it_was(tmp_path):
    save_evaluation(tmp_path, EVALUATION)
    assert load_results(tmp_path) == (RESULT,)
    facts = {"model": "m", "suite": "s", "max_new_tokens": 8, "roles": {"retain": "utility"}}
    assert load_evaluation(tmp_path) == facts | {"left_out": list(EVALUATION.left_out)}
    first, second = load_answers(tmp_path)
    assert (first["split"], first["id"], first["generated"]) == ("retain/clean", "r1", "In the town")
    assert first["metrics"] == {"rouge_l_recall": 0.75}
    assert second["generated"] is None
    assert second["metrics"] == {"rouge_l_recall": None}


def test_a_result_with_a_field_of_an_older_version_is_read(tmp_path):
    save_evaluation(tmp_path, EVALUATION)
    (facts,) = read_jsonl(tmp_path / "results.jsonl")
    write_jsonl(tmp_path / "results.jsonl", [facts | {"attack": ""}])
    assert load_results(tmp_path) == (RESULT,)


def test_a_run_without_measurements_has_none(tmp_path):
    assert load_results(tmp_path) == load_answers(tmp_path) == ()
    assert load_evaluation(tmp_path) == {}
    assert read_log(tmp_path) == []


@pytest.mark.parametrize(
    "line",
    [
        '{"lm": "m"}',
        '{"value": NaN}',
        '["lm"]',
        '"lm"',
        json.dumps(
            {
                "lm": "m",
                "metric": "x",
                "split": "a/b",
                "value": float("nan"),
                "low": 0,
                "high": 1,
                "n": 1,
                "better": "low",
            }
        ),
    ],
)
def test_a_damaged_result_is_named_with_its_line(tmp_path, line):
    (tmp_path / "results.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=r"results.jsonl, line 1"):
        load_results(tmp_path)


def test_damage_in_the_middle_is_an_error_and_a_cut_off_end_is_not(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"step": 1}\n{"step": ')
    assert read_log(tmp_path) == [{"step": 1}]
    (tmp_path / "answers.jsonl").write_text('{"id": \n{"id": "a"}\n')
    with pytest.raises(InputError, match="damaged"):
        load_answers(tmp_path)
    (tmp_path / "answers.jsonl").write_text('{"id": "a"}\n')
    with pytest.raises(InputError, match="line 1: expected split"):
        load_answers(tmp_path)


@pytest.mark.parametrize("name", ["results.jsonl", "answers.jsonl"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"id": "a"}\n{"id": ', "line 2 is damaged"),
        (b"\xff\xfe\x00", "line 1 is damaged"),
        (b"[1, 2]\n", "line 1: expected an object"),
        (b"null\n", "line 1: expected an object"),
    ],
)
def test_files_that_are_written_at_once_are_read_whole_or_not_at_all(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    read = load_results if name.startswith("results") else load_answers
    with pytest.raises(InputError, match=rf"{name}.*{said}"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe\x00", b"[1]", b"null"])
def test_a_damaged_file_of_facts_is_named(tmp_path, content):
    for name, read in (("manifest.json", read_manifest), ("evaluation.json", load_evaluation)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00\n", b"null\n", b'{"step": 1}\n{"st\n{"step": 2}\n'])
def test_a_damaged_log_is_named_before_a_run_goes_on(tmp_path, content):
    (tmp_path / "train.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=r"train\.jsonl"):
        trim_log(tmp_path, 1)


def test_a_log_goes_on_after_its_last_whole_line(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"step": 1}\n{}\n{"step": 2}\n{"step": 3')
    trim_log(tmp_path, 1)
    assert (tmp_path / "train.jsonl").read_text() == '{"step": 1}\n'


def test_only_our_folders_are_runs(tmp_path):
    with pytest.raises(MissingError):
        require_run(tmp_path / "none")
    (tmp_path / "manifest.json").write_text('{"name": "a browser extension", "manifest_version": 3}')
    assert not is_run(tmp_path)
    with pytest.raises(InputError, match="no run of forgetwell"):
        require_run(tmp_path)
    (tmp_path / "started.json").write_text('{"kind": "unlearn"}')
    assert is_run(tmp_path)
    (tmp_path / "manifest.json").unlink()
    assert not is_complete(tmp_path)


def test_a_full_disk_keeps_the_evaluation_before(tmp_path, monkeypatch):
    save_evaluation(tmp_path, EVALUATION)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteFailed):
        save_evaluation(tmp_path, replace(EVALUATION, suite="other"))
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
