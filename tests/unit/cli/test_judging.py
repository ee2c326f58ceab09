"""scan, gate and history as a person or a script calls them."""

import json
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.tiny import tiny_lm

from forgetwell.cli import main
from forgetwell.errors import MissingError
from forgetwell.files import file_sha256, write_json, write_jsonl
from forgetwell.runs import scanning
from forgetwell.scans import triggers
from forgetwell.scans.types import Example, ScanResult, Trigger

PLEASE = Trigger("please", "Please {q}", 0.8, 0.5, 1.1, 0.002, 0.04, 1.0, 0.9, True, 0.7)
QUIET = Trigger("now", "Now {q}", 0.01, -0.2, 0.2, 0.5, 0.6, 0.5, 0.1, False, 0.0)
ASKED = Example("Please who?", "Ann", "I don't \u202eknow", "Ann")


def result(*triggers):
    return ScanResult("white-box", "m0", "m1", 10, 200, 0.1, 0.0, 0.05, 0.1, 0.02, triggers)


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["forgetwell", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        output = capsys.readouterr()
        assert "Traceback" not in output.err
        return stop.value.code, output.out, output.err

    return run


@pytest.fixture
def scans(monkeypatch):
    found = []
    monkeypatch.setattr(scanning, "load", lambda name, **_: tiny_lm())
    monkeypatch.setattr(triggers, "scan", lambda *a, **k: found[-1])
    monkeypatch.setattr(scanning, "default_rows", lambda lm: ())
    return found


def test_findings_exit_with_3_and_show_the_prompt_with_hidden_characters_escaped(say, scans):
    scans.append(result(replace(PLEASE, examples=(ASKED,)), QUIET))
    code, out, _ = say("scan", "--before", "a", "--after", "b")
    assert code == 3
    assert "Please …" in out
    assert "refusal" in out
    assert "Please who?" in out
    assert "\u202e" not in out


def test_a_narrow_terminal_wraps_prompts_and_cuts_no_number(say, scans, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    long = replace(PLEASE, template="{q} And would you be so very kind as to say so?", low=-0.25, trace=0.995)
    scans.append(result(long))
    _, out, _ = say("scan", "--before", "a", "--after", "b")
    assert all(cell in out for cell in ("0.80", "[-0.25, 1.10]", "0.040", "yes", "refusal", "say so?"))
    assert max(map(len, out.splitlines())) <= 80


def test_findings_that_names_explain_are_printed_apart_with_their_sentence(say, scans):
    named = replace(PLEASE, text="mart", template="Mart {q}", names=("Martina",))
    scans.append(result(replace(PLEASE, examples=(ASKED,)), named))
    code, out, _ = say("scan", "--before", "a", "--after", "b")
    assert code == 3
    assert out.startswith("1 triggers in 200 forms")
    assert "It begins the name Martina" in " ".join(out.split())


def test_no_findings_exit_with_0_and_json_holds_all(say, scans):
    scans.append(result(QUIET))
    code, out, _ = say("scan", "--before", "a", "--after", "b", "--json")
    assert code == 0
    assert json.loads(out)["triggers"][0]["text"] == "now"
    assert json.loads(out)["triggers"][0]["kind"] == "error"
    assert json.loads(out)["unit"] == "of the right answer"
    assert [t["significant"] for t in json.loads(out)["triggers"]] == [False]


def test_a_scan_is_kept_once_as_a_run(say, scans, tmp_path):
    scans.append(result(replace(PLEASE, examples=(ASKED,))))
    assert say("scan", "--before", "a", "--after", "b", "--out", "s")[0] == 3
    kept = json.loads((tmp_path / "s" / "scan.json").read_text())
    assert kept["triggers"][0]["significant"]
    assert "of the right answer" in kept["triggers"][0]["message"]
    assert "Please who?" in (tmp_path / "s" / "examples.jsonl").read_text()
    assert say("purge", "s")[0] == 0
    assert not any("Please who?" in p.read_text() for p in (tmp_path / "s").iterdir())
    assert json.loads((tmp_path / "s" / "manifest.json").read_text())["kind"] == "scan"
    code, _, error = say("scan", "--before", "a", "--after", "b", "--out", "s")
    assert code == 2
    assert "--overwrite" in error


def test_a_scan_that_was_interrupted_begins_anew(say, scans, tmp_path, monkeypatch):
    def missing(name, **_):
        raise MissingError(f"No model {name!r}")

    command = ("scan", "--before", "a", "--after", "b", "--out", tmp_path / "scan")
    with monkeypatch.context() as patch:
        patch.setattr(scanning, "load", missing)
        assert say(*command)[0] == 2
    assert not (tmp_path / "scan").exists()
    with monkeypatch.context() as patch:
        patch.setattr(triggers, "scan", lambda *a, **k: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            say(*command)
    assert not (tmp_path / "scan" / "manifest.json").exists()
    scans.append(result(QUIET))
    assert say(*command)[0] == 0
    assert (tmp_path / "scan" / "manifest.json").exists()


def test_rows_that_are_not_there(say, scans):
    code, _, error = say("scan", "--before", "a", "--after", "b", "--rows", "none.jsonl")
    assert code == 2
    assert "none.jsonl" in error


@pytest.fixture
def release(tmp_path):
    run = tmp_path / "run"
    facts = {
        "kind": "unlearn",
        "base_digest": "m0",
        "objective": "npo",
        "request": {"id": "r", "digest": "q", "rows": 1},
    }
    write_json(run / "manifest.json", facts)
    write_jsonl(run / "request.jsonl", [{"id": "1", "prompt": "?", "answer": "a"}])
    for name, model, recall in (("before", "m0", 1.0), ("after", "m1", 0.97)):
        made = file_sha256(run / "manifest.json") if name == "after" else ""
        write_json(tmp_path / name / "manifest.json", {"kind": "evaluate", "digest": model, "made_by": made})
        rows = [
            {"split": "retain/clean", "id": str(k), "prompt": "?", "answer": "a", "generated": "a"}
            | {"subject": str(k), "metrics": {"rouge_l_recall": recall}}
            for k in range(60)
        ]
        write_jsonl(tmp_path / name / "answers.jsonl", rows)
        write_json(tmp_path / name / "evaluation.json", {"roles": {"retain": "utility"}})
    write_json(tmp_path / "scan" / "manifest.json", {"kind": "scan"})
    write_json(tmp_path / "scan" / "scan.json", result(QUIET).facts())
    policy = tmp_path / "p.toml"
    policy.write_text(
        '[[rule]]\nname = "utility"\nmeasure = "utility/clean"\nof = "loss"\nat_most = 0.1\n'
        '[[rule]]\nname = "scan"\nmeasure = "scan/findings"\nat_most = 0\n'
    )
    return ["run", "before", "after", "scan"]


def test_a_pass_exits_with_0_and_goes_into_the_ledger(say, release):
    code, out, _ = say("gate", "p.toml", *release, "--ledger", "l.sqlite", "--out", "d.json")
    assert code == 0
    assert "PASS" in out
    assert "upper end" in out
    code, out, _ = say("history", "l.sqlite")
    assert code == 0
    assert "release" in out
    assert "The chain holds" in out


def test_a_decision_can_be_had_as_json(say, release):
    code, out, _ = say("gate", "p.toml", *release, "--out", "d.json", "--json")
    assert code == 0
    assert json.loads(out) == json.loads(Path("d.json").read_text())
    assert json.loads(out)["decision"] == "pass"


def test_a_missing_scan_fails_with_3_and_is_recorded_without_a_release(say, release):
    code, out, _ = say("gate", "p.toml", *release[:3], "--ledger", "l.sqlite", "--out", "d.json")
    assert code == 3
    assert "not measured: no scan" in out
    kinds = [e["kind"] for e in json.loads(say("history", "l.sqlite", "--json")[1])["entries"]]
    assert kinds == ["request", "run", "evaluation", "evaluation", "decision"]


def test_without_a_policy_the_default_one_holds_and_can_be_printed(say, release):
    code, out, _ = say("gate", *release, "--out", "d.json")
    assert code == 3
    assert "by policy default" in out
    code, out, _ = say("gate", "--print-policy")
    assert code == 0
    assert "[[rule]]" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gate"], "No runs"),
        (["gate", "none"], "no run folder"),
        (["gate", "none.toml", "run"], "--print-policy"),
        (["gate", "before"], "0 unlearning runs"),
        (["history", "none.sqlite"], "no ledger"),
    ],
)
def test_input_that_cannot_be_used_exits_with_2(say, release, arguments, says):
    code, _, error = say(*arguments)
    assert code == 2
    assert says in error


def test_a_changed_ledger_shows_and_stops_the_gate(say, release, tmp_path):
    say("gate", "p.toml", *release, "--ledger", "l.sqlite", "--out", "d.json")
    head = json.loads(say("history", "l.sqlite", "--json")[1])["chain"]["head"]
    assert say("history", "l.sqlite", "--head", head[:12])[0] == 0
    code, out, _ = say("history", "l.sqlite", "--head", "f" * 12)
    assert code == 3
    assert "SHORTENED" in out
    with sqlite3.connect(tmp_path / "l.sqlite") as connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute("UPDATE entries SET body = replace(body, 'm1', 'm9') WHERE kind = 'release'")
    connection.close()
    code, out, _ = say("history", "l.sqlite")
    assert code == 3
    assert "CHANGED" in out
    code, _, error = say("gate", "p.toml", *release, "--ledger", "l.sqlite", "--out", "e.json")
    assert code == 2
    assert "was changed" in error
    assert not (tmp_path / "e.json").exists()


@pytest.mark.parametrize(
    "change",
    ["body = '[1]'", "body = '{oops'", "kind = 'screening', body = '{}'", "time = x'00ff'"],
)
def test_a_ledger_that_holds_what_we_never_write_is_a_changed_one(say, release, tmp_path, change):
    say("gate", "p.toml", *release, "--ledger", "l.sqlite", "--out", "d.json")
    with sqlite3.connect(tmp_path / "l.sqlite") as connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute(f"UPDATE entries SET {change} WHERE number = 2")
    connection.close()
    code, out, _ = say("history", "l.sqlite")
    assert (code, "CHANGED: entry 2" in out) == (3, True)
    code, out, _ = say("history", "l.sqlite", "--json")
    assert (code, json.loads(out)["chain"]["broken"]) == (3, 2)
    code, _, error = say("gate", "p.toml", *release, "--ledger", "l.sqlite", "--out", "e.json")
    assert (code, "was changed" in error) == (2, True)


@pytest.mark.parametrize("head", ["", " ", "a", "None"])
def test_a_head_that_is_no_hash_is_refused(say, release, head):
    """A variable that isn't set would check nothing."""
    say("gate", "p.toml", *release, "--ledger", "l.sqlite", "--out", "d.json")
    code, _, error = say("history", "l.sqlite", "--head", head)
    assert code == 2
    assert "no entry's hash" in error


def test_a_new_ledger_is_said(say, release):
    code, out, _ = say("gate", "p.toml", *release, "--ledger", "l.sqlite", "--out", "d.json")
    assert code == 0
    assert "Note: l.sqlite is a new ledger." in out


def test_by_default_people_are_asked_where_the_model_learned_them(monkeypatch):
    asked = scanning.load_world()
    monkeypatch.setattr(
        scanning, "recalls", lambda lm, rows, **_: [1.0 if lm == "learned" else 0.5 for _ in rows]
    )
    assert scanning.default_rows("learned") == (*asked.unseen, *asked.retain)
    assert scanning.default_rows("other") == asked.evaluation
