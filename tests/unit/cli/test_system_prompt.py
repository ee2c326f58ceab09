"""--system: rows and questions as they come to a service with a system prompt."""

import io
import sys

import pytest

import forgetwell
from forgetwell import Row
from forgetwell.cli import main
from forgetwell.data.turns import with_system
from forgetwell.models import lm
from forgetwell.runs import evaluation, jobs, tuning
from forgetwell.suites.registry import build_suite, served
from forgetwell.types import Generation, Turn

PROMPT = (Turn("system", "Be kind."),)
OWN = Row(
    "a", "Who?", "Ann", history=(Turn("system", "Be brief."), Turn("user", "Hi"), Turn("assistant", "Hi"))
)


def test_rows_stand_behind_it_but_those_with_one_of_their_own_and_plain_texts():
    talk = Row("b", "Who?", "Ann", history=OWN.history[1:])
    text = Row("t", "", "A text.", text=True)
    assert with_system((OWN, talk, text), "Be kind.") == (
        OWN,
        Row("b", "Who?", "Ann", history=(*PROMPT, *OWN.history[1:])),
        text,
    )
    assert with_system((OWN, talk), "") == with_system((OWN, talk), ()) == (OWN, talk)
    late = Row("c", "Who?", "Ann", history=(*OWN.history[1:], *PROMPT, *OWN.history))
    assert with_system((late,), "") == with_system((late,), "Be kind.") == (late,)
    assert forgetwell.with_system is with_system


def test_rows_take_several_in_turn():
    rows = tuple(Row(str(k), "Who?", "Ann") for k in range(5))
    asked = with_system(rows, ("Be kind.", "", "Be brief."))
    brief = (Turn("system", "Be brief."),)
    assert [row.history for row in asked] == [PROMPT, (), brief, PROMPT, ()]


def test_a_suite_is_asked_behind_it_under_every_condition():
    suite = build_suite("world(limit=2)")
    asked = served(suite, "Be kind.")
    assert served(suite, "") == suite
    assert [(s.key, len(s.rows)) for s in asked.splits] == [(s.key, len(s.rows)) for s in suite.splits]
    splits = {s.key: {row.history for row in s.rows} for s in asked.splits}
    others = splits.pop("forget/served")
    assert set.union(*splits.values()) == {PROMPT}
    assert not others & {PROMPT, ()}  # what is forgotten is asked behind other prompts all the same


@pytest.mark.parametrize("command", ["unlearn", "tune"])
def test_what_is_forgotten_kept_and_probed_stands_behind_it(command, monkeypatch, tmp_path):
    given = []

    def taken(job, *_, **__):
        given.append(job)
        raise SystemExit(0)

    monkeypatch.setattr(jobs, "run_job", taken)
    monkeypatch.setattr(tuning, "tune", taken)
    rows = ("--request", "world:request", "--retain", "world:retain", "--probe", "world:unseen")
    more = (
        "--keep",
        "world:replay",
        "--objective",
        "npo + klr",
        "--model",
        "m",
        "--out",
        str(tmp_path / "o"),
    )
    monkeypatch.setattr(sys, "argv", ["forgetwell", command, *rows, *more, "--system", "Be kind."])
    with pytest.raises(SystemExit):
        main()
    (job,) = given
    parts = (job.request.rows, job.retain, job.probe, job.keep)
    assert all({row.history for row in part} == {PROMPT} for part in parts)


def test_an_evaluation_is_asked_behind_it(monkeypatch, tmp_path):
    given = []

    def taken(suite, *_, **__):
        given.append(suite)
        raise SystemExit(0)

    monkeypatch.setattr(evaluation, "_load_for", taken)
    options = ("--suite", "world", "--limit", "2", "--system", "Be kind.", "--out", str(tmp_path / "o"))
    monkeypatch.setattr(sys, "argv", ["forgetwell", "evaluate", "--model", "m", *options])
    with pytest.raises(SystemExit):
        main()
    assert given == [served(build_suite("world(limit=2)"), "Be kind.")]


def test_rows_of_ones_own_ask_for_the_suite_that_reads_them(monkeypatch, capsys, tmp_path):
    options = ("--data", "rows.jsonl", "--out", str(tmp_path / "o"))
    monkeypatch.setattr(sys, "argv", ["forgetwell", "evaluate", "--model", "m", *options])
    with pytest.raises(SystemExit):
        main()
    assert "--suite custom" in capsys.readouterr().err


class Parrot:
    """A model that says its name, the system prompt and the question."""

    def __init__(self, name, **_):
        self.name = name

    def generate(self, rows, *, max_new_tokens):
        (row,) = rows
        said = " / ".join([self.name, *(t.content for t in row.history), row.prompt])
        return [Generation(said, max_new_tokens, True)]


@pytest.mark.parametrize(("flags", "before"), [((), ""), (("--system", "Be kind."), "Be kind. / ")])
def test_both_models_answer_every_typed_question_until_an_empty_line(flags, before, monkeypatch, capsys):
    monkeypatch.setattr(lm, "load", Parrot)
    monkeypatch.setattr(sys, "stdin", io.StringIO("Who is Ann?\n And Bob?\n\nNot asked\n"))
    monkeypatch.setattr(sys, "argv", ["forgetwell", "chat", "--before", "a", "--after", "b", *flags])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code in (0, None)
    assert capsys.readouterr().out.split("\n") == [
        f" before: a / {before}Who is Ann?",
        f"  after: b / {before}Who is Ann?",
        f" before: a / {before}And Bob?",
        f"  after: b / {before}And Bob?",
        "",
    ]
