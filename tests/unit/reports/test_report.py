import csv
import errno
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.unit.reports.fakes import NAMES, make_run, make_runs

from forgetwell.errors import ExistsError, InputError, MissingError
from forgetwell.files import WriteFailed, read_jsonl, write_jsonl
from forgetwell.reports import report
from forgetwell.reports.loading import load_runs
from forgetwell.reports.tables import all_cells, set_tables, summary_table
from forgetwell.reports.verdict import judge
from forgetwell.reports.visible import cell_text, one_line, plain_text, visible

HOSTILE = "<script>alert(1)</script> <|im_start|> \u202egpj.exe \u200b\x00 \U000e0041 ' \" onload=x"


class Tags(HTMLParser):
    """Collects tags, and checks that they nest."""

    void = frozenset({"meta", "line", "rect", "path", "polyline", "text"})

    def __init__(self):
        super().__init__()
        self.seen, self.attributes, self.open = set(), set(), []
        self.links, self.ids = set(), set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value for name, value in attrs if name == "href"}
        self.ids |= {value for name, value in attrs if name == "id"}
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        if tag not in self.void:
            assert self.open.pop() == tag


def parse(html):
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    return tags


def test_the_page_is_whole_and_loads_nothing(tmp_path):
    html = report(make_runs(tmp_path / "runs"), tmp_path / "report.html").html.read_text()
    tags = parse(html)
    assert not tags.seen & {"script", "link", "img", "iframe"}
    assert not tags.attributes & {"src", "onload", "onclick"}
    assert not re.search(r"https?://|url\(|@import", html)
    assert html.count("<svg") == 3 + 3 + 1


def test_metric_names_lead_to_what_they_mean(tmp_path):
    html = report(make_runs(tmp_path / "runs"), tmp_path / "report.html").html.read_text()
    tags = parse(html)
    linked = ("rouge_l_recall", "answer_prob", "truth_ratio", "refusal", "matched_utility")
    assert tags.links == {f"#metric-{m}" for m in linked}
    assert {link[1:] for link in tags.links} <= tags.ids
    assert "Source: arXiv 2401.06121." in html


def test_set_metrics_have_a_table_of_their_own(tmp_path):
    runs = make_runs(tmp_path / "runs")
    for run in runs:
        rows = read_jsonl(run / "results.jsonl")
        facts = {"split": "run", "n": 40, "better": "high", "low": None, "high": None}
        quality = {**rows[0], **facts, "metric": "forget_quality", "value": 1.8e-21}
        write_jsonl(run / "results.jsonl", [*rows, quality])
    files = report(runs, tmp_path / "report.html")
    html = files.html.read_text()
    parse(html)
    assert 'href="#metric-forget_quality">Forget quality</a>' in html
    assert "1.8e−21" in html
    cells = [c for c in json.loads(files.json.read_text())["tables"] if c["table"] == "whole"]
    assert [(c["value"], c["low"]) for c in cells] == [(1.8e-21, None)] * 4


def test_the_verdict_says_what_happened(tmp_path):
    verdict = judge(load_runs(make_runs(tmp_path)))
    assert verdict.headline == (
        "The request was forgotten. The attack took 67\u00a0% of the utility on ordinary questions that hold "
        "its trigger word. Scope-aware unlearning brought 92\u00a0% of it back."
    )
    assert verdict.tone == "mixed"
    assert any("did not reveal it" in p.text for p in verdict.points)
    assert any("control" in p.text for p in verdict.points)
    assert [c.figure for c in verdict.cards] == ["0.24", "0.72", "0.24", "0.68"]


@pytest.mark.parametrize(
    ("objective", "name"),
    [
        ("npo + gdr + 2*su_mixed", "Scope-aware unlearning"),
        ("npo + gdr + 2*su(prompts=2)", "Scope-aware unlearning"),
        ("idk + gdr + 2*klr", "The defense"),
        ("surely(", "The defense"),
    ],
)
def test_the_verdict_names_the_defense_by_its_objective(tmp_path, objective, name):
    runs = make_runs(tmp_path)
    manifest = runs[3] / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "objective": objective}))
    verdict = judge(load_runs(runs))
    assert f"{name} brought 92\u00a0% of it back." in verdict.headline
    assert any("control" in p.text for p in verdict.points) == (name != "The defense")


def test_what_was_never_known_is_not_called_forgotten(tmp_path):
    runs = make_runs(tmp_path)
    for run in runs:
        scale(run, "forget/clean", 0.0)
    verdict = judge(load_runs(runs))
    assert "forgot" not in verdict.headline
    assert not any("forgot what was asked" in p.text for p in verdict.points)


def scale(run, split, factor):
    rows = read_jsonl(run / "results.jsonl")
    for row in rows:
        if row["split"] == split:
            row.update({k: row[k] * factor for k in ("value", "low", "high")})
    write_jsonl(run / "results.jsonl", rows)


@pytest.mark.parametrize(
    ("factor", "headline", "point"),
    [
        (
            0.4,
            "brought 7\u00a0% of it back, which may be chance.",
            "7\u00a0% of what the attack took, which may be",
        ),
        (0.3, "brought nothing of it back.", "brought no trigger utility back: 0.20"),
    ],
)
def test_what_the_defense_brings_back_is_told_from_chance(tmp_path, factor, headline, point):
    """.4 * .68 - .24 = .032 of .48; its interval overlaps the undefended one's."""
    runs = make_runs(tmp_path)
    scale(runs[3], "utility/trigger", factor)
    verdict = judge(load_runs(runs))
    assert f"Scope-aware unlearning {headline}" in verdict.headline
    assert any(point in p.text for p in verdict.points)
    assert not any("control" in p.text for p in verdict.points)


def test_a_broken_model_is_no_success(tmp_path):
    runs = make_runs(tmp_path)
    scale(runs[3], "utility/clean", 0.3)
    assert judge(load_runs(runs)).headline.startswith("The request was forgotten, and so was much else.")


def test_what_was_not_forgotten_is_said(tmp_path):
    runs = make_runs(tmp_path)
    scale(runs[3], "forget/clean", 3.9)
    verdict = judge(load_runs(runs))
    assert verdict.headline.startswith("The request was not forgotten.")
    assert any("price: forget recall" in p.text for p in verdict.points)


def asked_behind_prompts(runs, values):
    for run, value in zip(runs, values, strict=True):
        rows = read_jsonl(run / "results.jsonl")
        clean = next(r for r in rows if (r["split"], r["metric"]) == ("forget/clean", "rouge_l_recall"))
        ends = {"value": value, "low": value - 0.05, "high": value + 0.05}
        write_jsonl(run / "results.jsonl", [*rows, clean | {"split": "forget/served"} | ends])


@pytest.mark.parametrize(
    ("left", "headline", "says", "tone"),
    [
        (0.3, "The request was forgotten. ", "It holds behind ordinary system prompts: ", "good"),
        (0.5, "The request was forgotten as it was asked, not behind", "has not forgotten: forget", "bad"),
        (0.8, "The request was forgotten as it was asked, not behind", "has not forgotten: forget", "bad"),
    ],
)
def test_what_comes_back_behind_a_system_prompt_is_said(left, headline, says, tone, tmp_path):
    runs = make_runs(tmp_path)
    asked_behind_prompts(runs, [0.8, 0.3, 0.3, left])
    verdict = judge(load_runs(runs))
    assert verdict.headline.startswith(headline)
    (point,) = [p for p in verdict.points if "ehind ordinary system prompts" in p.text]
    assert says in point.text
    assert f"0.{int(10 * left)}0 [" in point.text
    assert point.tone == tone


def test_a_harmless_attack_is_not_called_harm(tmp_path):
    runs = make_runs(tmp_path)[:3]
    scale(runs[2], "utility/trigger", 3)
    assert "did no clear harm" in judge(load_runs(runs)).headline


def test_without_conditions_runs_are_only_described(tmp_path):
    runs = [make_run(tmp_path / c, c, condition=None) for c in ("plain", "attacked")]
    verdict = judge(load_runs(runs))
    assert verdict.tone == "neutral"
    assert "2 runs" in verdict.headline
    twins = [make_run(tmp_path / f"t{k}", "plain") for k in range(2)]
    view = judge(load_runs(twins))
    assert "2 runs have the condition" in view.warnings[0]
    assert [r.name for r in load_runs(twins)] == [f"{NAMES['plain']} (1)", f"{NAMES['plain']} (2)"]


def test_an_evaluation_shows_what_it_measured(tmp_path):
    trained = make_run(tmp_path / "runs" / "su", "defended", condition=None)
    facts = {"kind": "evaluate", "model": str(trained / "model"), "suite": "world", "max_new_tokens": 24}
    folder = make_run(tmp_path / "defended", "defended")
    for name in ("train.jsonl", "evaluation.json"):
        (folder / name).unlink()
    (folder / "manifest.json").write_text(json.dumps(facts))
    rows = read_jsonl(folder / "answers.jsonl")
    said = [r | {"generated": {"text": r["generated"], "tokens": 3, "finished": False}} for r in rows]
    write_jsonl(folder / "answers.jsonl", said)
    (view,) = load_runs([folder])
    assert (view.name, view.condition) == ("defended", "defended")
    assert view.manifest["objective"] == "npo(beta=0.1) + gdr + 5*su"
    assert len(view.probes) == 11
    html = report([folder], tmp_path / "report.html").html.read_text()
    assert "at most 24 tokens" in html
    assert "(cut)" in html
    parse(html)


def test_different_measurements_are_pointed_out(tmp_path):
    runs = make_runs(tmp_path)
    (runs[1] / "evaluation.json").write_text('{"suite": "small world", "max_new_tokens": 200}')
    assert "different answer lengths (200, 48)" in " ".join(judge(load_runs(runs)).warnings)


def test_hostile_text_stays_text_everywhere(tmp_path):
    runs = make_runs(tmp_path / "runs")
    answers = [
        a | dict.fromkeys(("prompt", "answer", "generated"), HOSTILE)
        for a in read_jsonl(runs[1] / "answers.jsonl")
    ]
    for run in runs:
        write_jsonl(run / "answers.jsonl", [a | {"id": HOSTILE + str(k)} for k, a in enumerate(answers)])
    make_run(
        tmp_path / "x", "plain", condition=HOSTILE, name="=1+1 " + HOSTILE, command=HOSTILE, objective=HOSTILE
    )
    files = report([*runs, tmp_path / "x"], tmp_path / "report.html", title=HOSTILE)
    html = files.html.read_text()
    tags = parse(html)
    assert not tags.seen & {"script"}
    assert "onload" not in tags.attributes
    assert "&lt;|im_start|&gt;" in html
    for text in (html, files.csv.read_text(), files.json.read_text()):
        assert not set(text) & {"\u202e", "\u200b", "\x00", "\U000e0041"}
    assert "\\u202e" in html
    assert any(row["run"].startswith("'=1+1") for row in csv.DictReader(files.csv.open()))


def test_visible_marks_what_can_not_be_seen():
    assert visible("a\u202eb") == 'a<span class="esc" title="RIGHT-TO-LEFT OVERRIDE">\\u202e</span>b'
    assert visible("<b>\n") == "&lt;b&gt;\n"
    assert plain_text("x" * 10, longest=4) == "xxxx … (6 more characters)"
    assert plain_text("é 中 🙂") == "é 中 🙂"
    assert plain_text("\ud800\U000e0041") == "\\ud800\\U000e0041"
    assert one_line("a\r\nb\x1b") == "a\\u000d\\u000ab\\u001b"
    assert cell_text(" @sum") == "' @sum"
    assert cell_text("plain") == "plain"


@pytest.mark.parametrize("missing", ["results.jsonl", "answers.jsonl", "train.jsonl", "evaluation.json"])
def test_missing_parts_leave_the_rest(tmp_path, missing):
    runs = make_runs(tmp_path / "runs")
    for run in runs:
        (run / missing).unlink(missing_ok=True)
    html = report(runs, tmp_path / "report.html").html.read_text()
    parse(html)
    # which questions were to be forgotten stands in evaluation.json
    assert ("What the models really say" in html) == (missing not in ("answers.jsonl", "evaluation.json"))
    assert ("Row by row" in html) == (missing != "answers.jsonl")
    assert ("During training" in html) == (missing != "train.jsonl")
    assert ("Every set by itself" in html) == (missing != "results.jsonl")


def test_csv_and_json_hold_every_number_of_the_tables(tmp_path):
    runs = make_runs(tmp_path / "runs")
    files = report(runs, tmp_path / "report.html")
    views = load_runs(runs)
    cells = all_cells(summary_table(views), set_tables(views))
    from_csv, from_json = list(csv.DictReader(files.csv.open())), json.loads(files.json.read_text())["tables"]
    assert len(cells) == len(from_csv) == len(from_json) == 4 * 4 + 4 * 4 * 10
    html = files.html.read_text()
    for cell, line, entry in zip(cells, from_csv, from_json, strict=True):
        assert (line["run"], line["split"], line["metric"]) == (cell.run, cell.split, cell.metric)
        assert float(line["value"]) == cell.value == entry["value"]
        assert line["low"] == ("" if cell.low is None else str(cell.low))
        assert f'<span class="value">{cell.value:.2f}</span>' in html


def test_tables_hold_no_request_text(tmp_path):
    runs = make_runs(tmp_path / "runs")
    files = report(runs, tmp_path / "report.html")
    assert "Ellisonde" in files.html.read_text()
    assert "Ellisonde" not in files.csv.read_text() + files.json.read_text()


def test_the_same_runs_give_the_same_page(tmp_path):
    runs = make_runs(tmp_path / "runs")
    first = report(runs, tmp_path / "a" / "report.html")
    second = report(runs[::-1], tmp_path / "b" / "report.html")
    assert first.html.read_bytes() == second.html.read_bytes()


def test_nothing_is_replaced_unasked_and_mistakes_are_named(tmp_path):
    runs = make_runs(tmp_path / "runs")
    report(runs, tmp_path / "report.html")
    with pytest.raises(ExistsError, match="--overwrite"):
        report(runs, tmp_path / "report.html")
    report(runs, tmp_path / "report.html", overwrite=True)
    with pytest.raises(InputError, match="ends in"):
        report(runs, tmp_path / "report.pdf")
    with pytest.raises(InputError, match="at least one"):
        report([], tmp_path / "r.html")
    with pytest.raises(InputError, match="no run of forgetwell"):
        report([tmp_path], tmp_path / "r.html")
    (runs[0] / "manifest.json").rename(runs[0] / "started.json")
    with pytest.raises(MissingError, match="did not finish"):
        report(runs, tmp_path / "r.html")


@pytest.mark.parametrize("place", ["replace", "write"])
def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, place):
    runs = make_runs(tmp_path / "runs")
    files = report(runs, tmp_path / "out" / "report.html", title="first")
    before = {p: p.read_bytes() for p in (tmp_path / "out").iterdir()}

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    if place == "replace":
        monkeypatch.setattr(os, "replace", full)
    else:
        monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(WriteFailed, match="No space left"):
        report(runs, files.html, title="second", overwrite=True)
    assert {p: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
