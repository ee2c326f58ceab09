"""What is kept of a plan's runs under results/."""

import pytest

from forgetwell.errors import ExistsError, InputError, MissingError
from forgetwell.experiments.keeping import keep_results
from forgetwell.files import read_json, write_json, write_text


def plan(folder, *runs):
    for name in ("cells.jsonl", "claims.json", "table.md"):
        write_text(folder / name, f"{name}\n")
    for run in runs:
        write_text(folder / run / "curve.jsonl", "{}\n")
        write_text(folder / run / "answers.jsonl", '{"said": "Ann"}\n')
        write_json(folder / run / "manifest.json", {"model": "/home/somebody/runs/known world", "seed": 0})
    return folder


def test_tables_curves_and_manifests_are_kept_and_no_answers_or_paths(tmp_path):
    given = plan(tmp_path / "p", "loss=tpo(unwanted=facts) p=0.3/plain-0", "loss=npo p=0.3/su-1")
    write_text(given / "loss=npo p=0.3" / "su-2" / "started.json", "{}")  # not finished
    out = tmp_path / "results" / "p"
    assert keep_results(given, out) == ("npo-0.3-su-1", "tpo-unwanted-facts-0.3-plain-0")
    assert {f.name for f in out.iterdir()} == {
        "cells.jsonl",
        "claims.json",
        "table.md",
        "npo-0.3-su-1.curve.jsonl",
        "npo-0.3-su-1.manifest.json",
        "tpo-unwanted-facts-0.3-plain-0.curve.jsonl",
        "tpo-unwanted-facts-0.3-plain-0.manifest.json",
    }
    assert read_json(out / "npo-0.3-su-1.manifest.json") == {"model": "known world", "seed": 0}


def test_nothing_is_written_where_something_is_wrong(tmp_path):
    with pytest.raises(MissingError, match="forgetwell bench"):
        keep_results(tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match="a-b-plain-0"):
        keep_results(plan(tmp_path / "p", "x=a(b)/plain-0", "x=a b/plain-0"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ExistsError):
        keep_results(plan(tmp_path / "q", "x=a/plain-0"), tmp_path / "p")
    with pytest.raises(ExistsError):
        keep_results(tmp_path / "q", tmp_path / "q" / "table.md")
