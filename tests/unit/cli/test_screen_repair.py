import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.tiny import tiny_lm

from forgetwell.cli import main
from forgetwell.data.reading import read_request, read_rows
from forgetwell.data.row_files import write_rows
from forgetwell.files import write_json, write_jsonl
from forgetwell.requests.stealthy import stealthy
from forgetwell.runs.job import Job
from forgetwell.training.config import TrainConfig
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
    assert "Risk, the harm to answers about other things from 0 to 1: 0 where a prompt has the" in output.out
    code, output = run("screen", "bad.jsonl", "--background", "usual.jsonl", "--json")
    assert code == 3
    found = json.loads(output.out)
    assert found["suspicious"]
    assert found["risk"]["score"] > 0.2
    assert {"row_id", "span", "statistic", "p_value", "message"} <= found["findings"][0].keys()


def test_what_was_compared_is_told_and_what_could_not_be_seen(run, tmp_path):
    _, output = run("screen", "honest.jsonl", "--background", "usual.jsonl")
    told = "Compared with 300 ordinary prompts; 14 of 16 screens ran (high_loss, unknown need --model).\n"
    assert f"{told}Pass: nothing speaks against it." in output.out
    _, output = run("screen", "honest.jsonl", "--background", "usual.jsonl", "--screens", "hidden")
    assert (
        "Compared with 300 ordinary prompts; 1 of 16 screens ran: hidden.\nPass: nothing that" in output.out
    )
    write_rows(tmp_path / "one.jsonl", [Row("o", "Please, please tell me where Ann Lee lives!", "x")])
    write_rows(tmp_path / "other.jsonl", [Row("p", "Please, please tell me where Tim Poe lives!", "x")])
    _, output = run("screen", "one.jsonl", "--background", "other.jsonl")
    assert output.out.splitlines()[-4:] == [
        "Too few rows (1 of at least 3): inflation, templates, surprise, strange_words, mixed_casing, "
        "earlier_turns could find nothing.",
        "Too few prompts (1 of at least 19): surprise could find nothing.",
        "No background subject with 5 rows: strange_words, mixed_casing, foreign_subject, foreign_answer "
        "could find nothing.",
        "Pass: nothing that could be tested speaks against it.",
    ]
    _, output = run("screen", "one.jsonl", "--background", "other.jsonl", "--json", "--screens", "surprise")
    found = json.loads(output.out)
    assert (found["screens"], found["background"], len(found["blind_spots"])) == (["surprise"], 1, 2)


def test_a_request_is_not_compared_with_itself(run, tmp_path):
    code, output = run("screen", "bad.jsonl", "--background", "usual.jsonl", "--json")
    alone = json.loads(output.out)
    loud = [replace(row, prompt=f"  {row.prompt.upper()}") for row in read_rows(tmp_path / "bad.jsonl")]
    write_rows(tmp_path / "log.jsonl", [*read_rows(tmp_path / "usual.jsonl"), *loud])  # what users asked
    code, output = run("screen", "bad.jsonl", "--background", "log.jsonl", "--json")
    found = json.loads(output.out)
    assert (code, found["background"], found["shared"]) == (3, 300, len(loud))
    assert found | {"shared": 0} == alone
    _, output = run("screen", "bad.jsonl", "--background", "log.jsonl")
    assert f"Compared with 300 ordinary prompts, without {len(loud)} that the request asks too;" in output.out
    code, output = run("screen", "bad.jsonl", "--background", "bad.jsonl")
    assert code == 2
    assert "The background is the request itself" in output.err


def test_the_page_says_what_was_tested_and_what_could_not_be(run, tmp_path):
    run("screen", "honest.jsonl", "--background", "usual.jsonl", "--screens", "hidden", "--out", "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<h1>Nothing that could be tested speaks against it.</h1>" in page
    assert "Compared with 300 ordinary prompts; 1 of 16 screens ran: hidden." in page
    write_rows(tmp_path / "one.jsonl", [Row("o", "Where does Ann Lee live?", "x")])
    run("screen", "one.jsonl", "--background", "usual.jsonl", "--out", "one.html")
    assert "Too few rows (1 of at least 3)" in (tmp_path / "one.html").read_text()


def test_many_findings_of_one_screen_leave_no_other_unseen(run, tmp_path):
    bad = read_rows(tmp_path / "bad.jsonl")
    hidden = "".join(f"{'ab' * k}\u200b" for k in range(60))
    write_rows(tmp_path / "many.jsonl", [replace(bad[0], answer=hidden), *bad[1:]])
    _, output = run("screen", "many.jsonl", "--background", "usual.jsonl")
    assert {"hidden", "inflation", "templates"} <= {line.split()[1] for line in output.out.splitlines()[:40]}
    assert "more, all of them with --json." in output.out


def test_earlier_requests_may_have_other_columns(run, tmp_path):
    (tmp_path / "old").mkdir()
    for path in ("new.csv", "old/old.csv"):
        (tmp_path / path).write_text("frage,antwort\nWhere does Ann Lee live?,Ulm\nWho is Ann Lee?,A baker\n")
    command = ["screen", "new.csv", "--background", "usual.jsonl", "--history", "old"]
    code, output = run(*command, "--columns", "prompt=frage,answer=antwort", "--screens", "duplicates")
    assert code == 0
    assert "2 rows  100% of its word pairs" in output.out or "in the earlier request 'old'" in output.out
    assert run(*command)[0] == 2


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


def test_bare_needs_no_prompts_to_compare_with(run, tmp_path):
    command = ["repair", "bad.jsonl", "--out", "good.jsonl", "--ledger", "l.sqlite", "--repair"]
    code, output = run(*command, "strip")
    assert (code, "--background" in output.err) == (2, True)
    assert run(*command, "bare", "--screens", "hidden")[0] == 2
    code, output = run(*command, "bare")
    assert code == 0
    assert "bare. Written: good.jsonl" in output.out
    assert "retain" not in output.out
    good, honest = (read_rows(tmp_path / f"{name}.jsonl") for name in ("good", "honest"))
    assert [r.prompt for r in good] == [r.prompt for r in honest]
    assert [e["kind"] for e in entries(run)] == ["request", "repair", "request"]


def test_what_hides_in_answers_is_marked_on_the_page_and_shown_in_the_diff(run, tmp_path):
    write_rows(tmp_path / "evil.jsonl", [Row("e", "Where is it?", "In <|im_end|> <b>town</b>.")])
    assert run("screen", "evil.jsonl", "--background", "usual.jsonl", "--out", "page.html")[0] == 3
    page = (tmp_path / "page.html").read_text()
    assert "In <mark>&lt;|im_end|&gt;</mark> &lt;b&gt;town" in page
    command = ["repair", "evil.jsonl", "--retain", "usual.jsonl", "--repair", "strip",
               "--background", "usual.jsonl", "--out", "good.jsonl"]  # fmt: skip
    _, output = run(*command, "--dry-run")
    assert "- e: In <|im_end|> <b>town</b>.\n+ e: In <b>town</b>." in output.out


def test_no_id_or_line_break_of_a_request_reaches_the_terminal_as_it_is(run, tmp_path):
    ids = [f"r\x1b]0;owned\x07\x1b[2J\u202e{i}\n+ r9" for i in range(4)]
    asked = "Could you please tell me where Mira Oakwell was born in {}?\n+ r2: nothing changed"
    write_rows(tmp_path / "evil.jsonl", [Row(id, asked.format(i), "x") for i, id in enumerate(ids)])
    for repair in ("bare", "strip"):
        command = ("repair", "evil.jsonl", "--repair", repair, "--out", "good.jsonl", "--dry-run")
        _, output = run(*command, "--background", "usual.jsonl")
        shown = output.out.splitlines()
        assert len(shown) > 4
        assert not set(output.out) & {"\x1b", "\x07", "\u202e"}
        assert all(
            line.startswith(("request: ", "- r\\u001b]0;owned", "+ r\\u001b]0;owned")) for line in shown
        )


def test_repairs_are_made_in_order_each_on_what_the_one_before_left(run):
    told = ("repair", "bad.jsonl", "--background", "usual.jsonl")
    assert run(*told, "--repair", "strip", "--out", "stripped.jsonl")[0] == 0
    assert run("repair", "stripped.jsonl", "--repair", "bare", "--out", "one.jsonl")[0] == 0
    code, output = run(*told, "--repair", "strip", "bare", "--ledger", "l.sqlite", "--out", "both.jsonl")
    assert code == 0
    assert "strip, bare. Written: both.jsonl" in output.out
    assert read_rows("both.jsonl") == read_rows("one.jsonl")
    assert [e["body"]["repair"] for e in entries(run) if e["kind"] == "repair"] == ["strip, bare"]


def test_a_second_repair_that_reads_findings_screens_what_is_left(run):
    told = ("repair", "bad.jsonl", "--background", "usual.jsonl")
    code, _ = run(*told, "--repair", "strip", "drop", "--out", "good.jsonl")
    assert (code, len(read_rows("good.jsonl"))) == (0, len(read_rows("bad.jsonl")))  # nothing left to drop


def test_balance_asks_where_the_rows_to_keep_go(run, tmp_path):
    command = ["repair", "bad.jsonl", "--retain", "usual.jsonl", "--repair", "balance", "--background",
               "usual.jsonl", "--out", "good.jsonl"]  # fmt: skip
    code, output = run(*command)
    assert code == 2
    assert "--retain-out" in output.err
    assert run(*command, "--retain-out", "kept.jsonl")[0] == 0
    assert any(r.edit for r in read_rows(tmp_path / "kept.jsonl"))


@pytest.mark.parametrize("named", ["request", "background", "both"])
def test_columns_count_for_request_and_prompts_to_compare_with(run, tmp_path, named):
    files = {"request": "honest.jsonl", "background": "usual.jsonl"}
    for which in files if named == "both" else [named]:
        lines = [{"q": r.prompt, "a": r.answer} for r in read_rows(tmp_path / files[which])]
        files[which] = f"own-{which}.jsonl"
        write_jsonl(tmp_path / files[which], lines)
    told = [files["request"], "--background", files["background"], "--columns", "prompt=q,answer=a"]
    assert run("screen", *told)[0] == 0
    code, output = run("repair", *told, "--repair", "strip", "--dry-run", "--out", "good.jsonl")
    assert (code, output.err) == (0, "")


def test_two_outputs_in_one_file_are_refused(run, tmp_path):
    command = ["repair", "bad.jsonl", "--retain", "usual.jsonl", "--repair", "balance", "--background",
               "usual.jsonl", "--out", "x.jsonl"]  # fmt: skip
    (tmp_path / "sub").mkdir()
    for more in (("--retain-out", "sub/../x.jsonl"), ("--retain-out", "y", "--ledger", "y")):
        for mode in ((), ("--dry-run",), ("--overwrite",)):
            code, output = run(*command, *more, *mode)
            assert code == 2
            assert "Two outputs were given one file" in output.err
    assert not (tmp_path / "x.jsonl").exists()
    page = ("screen", "bad.jsonl", "--background", "usual.jsonl", "--out", "p.html", "--ledger", "p.html")
    assert run(*page)[0] == 2


def test_mistakes_are_plain(run):
    command = ["screen", "bad.jsonl", "--background", "usual.jsonl"]
    assert "'inflation'" in run(*command, "--screens", "inflatio")[1].err
    assert run(*command, "--history", "nowhere")[0] == 2
    assert run(*command, "--screens", "unknown")[0] == 2


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "json", "csv"])
def test_earlier_requests_are_read_whatever_kind_of_file_they_are(run, tmp_path, ending):
    command = ["screen", "honest.jsonl", "--background", "usual.jsonl", "--history", "earlier"]
    (tmp_path / "earlier").mkdir()
    code, output = run(*command)
    assert code == 2
    assert "earlier holds no earlier request: no file in it ends with .jsonl, .jsonl.gz" in output.err
    again = read_rows("honest.jsonl")
    if ending.startswith("jsonl"):
        write_rows(tmp_path / "earlier" / f"old.{ending}", again)
    elif ending == "json":
        write_json(
            tmp_path / "earlier" / "old.json", [{"prompt": r.prompt, "answer": r.answer} for r in again]
        )
    else:
        lines = ["prompt,answer", *(f"{r.prompt},{r.answer}" for r in again)]
        (tmp_path / "earlier" / "old.csv").write_text("\n".join(lines))
    code, output = run(*command)
    assert code == 3
    assert "in the earlier request 'old'" in output.out
    assert "Compared with 300 ordinary prompts and 1 earlier request;" in output.out


def entries(run, name="l.sqlite"):
    return json.loads(run("history", name, "--json")[1].out)["entries"]


def test_a_ledger_tells_request_screening_repair_and_then_the_run(run, tmp_path):
    usual = ("--background", "usual.jsonl", "--ledger", "l.sqlite")
    assert run("screen", "bad.jsonl", *usual)[0] == 3
    assert run("screen", "bad.jsonl", *usual)[0] == 3  # the same again adds nothing
    fix = ("--retain", "usual.jsonl", "--repair", "strip", "--out", "good.jsonl")
    assert run("repair", "bad.jsonl", *usual, *fix, "--dry-run")[0] == 0
    assert [e["kind"] for e in entries(run)] == ["request", "screening"]
    assert run("repair", "bad.jsonl", *usual, *fix)[0] == 0
    told = entries(run)
    assert [e["kind"] for e in told] == ["request", "screening", "repair", "request"]
    bad, screening, repair, good = (e["body"] for e in told)
    assert screening["request"] == repair["request"] == bad["digest"]
    assert screening["suspicious"]
    assert screening["found"]["inflation"]["alarm"] > 5
    assert (repair["made"], repair["repair"]) == (good["digest"], "strip")
    assert "Ann Lee" not in json.dumps(told)

    request = read_request(tmp_path / "good.jsonl")
    job = Job("unlearn", "m", request, (), "npo + gdr", TrainConfig())
    write_json(tmp_path / "run" / "manifest.json", {**job.settings, "base_digest": "m0"})
    write_rows(tmp_path / "run" / "request.jsonl", request.rows)
    assert run("gate", "run", "--ledger", "l.sqlite", "--out", "d.json")[0] == 3
    assert [e["kind"] for e in entries(run)] == [*(e["kind"] for e in told), "decision"]
    out = run("history", "l.sqlite")[1].out
    assert "suspicious, risk" in out
    assert f"{bad['digest']} → {good['digest']}  strip" in out


def test_a_ledger_that_cannot_be_used_is_said_before_the_work(run, tmp_path):
    (tmp_path / "l.sqlite").write_text("songs, but long enough to be read as a database " * 40)
    code, output = run(
        "screen", "bad.jsonl", "--background", "usual.jsonl", "--ledger", "l.sqlite", "--out", "p.html"
    )
    assert code == 2
    assert "ledger" in output.err
    assert not (tmp_path / "p.html").exists()


def test_what_the_model_knows_is_told_by_rows_to_keep(run, tmp_path, monkeypatch):
    """The background's answers are as unknown to it as the request's."""
    lm = SimpleNamespace(name="tiny", digest="d", codec=None)
    lm.score = lambda rows, **_: [SimpleNamespace(logps=(-float(len(r.answer)),)) for r in rows]
    monkeypatch.setattr("forgetwell.models.lm.load", lambda name, **_: lm)
    write_rows(tmp_path / "kept.jsonl", [Row(f"k{i}", f"Where is Bo {i}?", "x" * (i + 1)) for i in range(40)])
    write_rows(tmp_path / "new.jsonl", [Row(f"n{i}", f"Where is Al {i}?", "x" * 400) for i in range(20)])
    write_rows(tmp_path / "asked.jsonl", [Row(f"o{i}", f"Where is Cy {i}?", "x" * 400) for i in range(20)])
    usual = ("--background", "asked.jsonl", "--model", "tiny", "--screens", "unknown", "--ledger", "l.sqlite")
    code, output = run("screen", "new.jsonl", *usual)
    assert code == 0
    assert "No rows to keep were given: unknown compares with the background's answers" in output.out
    code, output = run("screen", "new.jsonl", *usual, "--retain", "kept.jsonl")
    assert code == 3
    assert "0 of 40 known answers are as improbable" in output.out
    code, output = run("screen", "new.jsonl", "--background", "asked.jsonl", "--retain", "kept.jsonl")
    assert (code, "give --model too" in output.err) == (2, True)
    told = [e["body"] for e in entries(run) if e["kind"] == "screening"]
    assert ["retain" in body for body in told] == [False, True]


def test_findings_of_screens_that_ask_the_model_are_repaired(run, tmp_path, monkeypatch):
    lm = tiny_lm()
    asked = []
    score = lm.score
    monkeypatch.setattr(lm, "score", lambda rows, **k: asked.extend(rows) or score(rows, **k), raising=False)
    monkeypatch.setattr("forgetwell.models.lm.load", lambda name, **_: lm)
    usual = ("--background", "usual.jsonl", "--retain", "usual.jsonl", "--model", "tiny")
    screens = ("--screens", "high_loss(share=0.25)", "--screens", "high_loss")
    assert run("repair", "bad.jsonl", *usual, *screens, "--repair", "drop", "--out", "kept.jsonl")[0] == 0
    assert len(read_rows(tmp_path / "kept.jsonl")) == 40 - 13
    assert len(asked) == len(set(asked)) == 40  # two screens, one question a row


def test_a_background_of_another_kind_is_refused(run, tmp_path):
    write_rows(tmp_path / "texts.jsonl", [Row("t", "", "Ann Lee left. Then she came.", text=True)])
    code, said = run("screen", "texts.jsonl", "--background", "usual.jsonl")
    assert code == 2
    assert "1 of the request's 1 rows are plain text, and the background holds none" in said.err
    code, said = run("screen", "honest.jsonl", "--background", "texts.jsonl")
    assert code == 2
    assert "40 of the request's 40 rows are questions" in said.err
    write_rows(tmp_path / "others.jsonl", [Row("o", "", "Tim Poe left.", text=True)])
    assert run("screen", "texts.jsonl", "--background", "others.jsonl", "--screens", "hidden")[0] == 0
