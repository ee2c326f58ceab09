from dataclasses import replace

import pytest
from tests.tiny import tiny_lm
from tests.toy import BENCH, bar

from forgetwell.errors import InputError, MissingError
from forgetwell.experiments import grid
from forgetwell.experiments.claims import Run, Setup
from forgetwell.experiments.grid import run_plan
from forgetwell.experiments.parts import Part
from forgetwell.experiments.plan import Comparison, Plan
from forgetwell.experiments.probing import ANSWERS, read_curve
from forgetwell.experiments.rereading import reread_plan
from forgetwell.files import read_jsonl, write_jsonl
from forgetwell.metrics.rouge import rouge_l_f1
from forgetwell.runs.folder import read_manifest
from forgetwell.training.config import TrainConfig
from forgetwell.types import Generation

SETUP = Setup(config=TrainConfig(epochs=1, batch=2, probe_every=1), per_set=2, floor=0.0)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    tiny_lm().save(tmp_path / "tiny")
    monkeypatch.setattr(grid, "bind_bench", lambda text: lambda: BENCH)
    runs = tuple(Run(c, 0, a, "npo + gdr") for c, a in (("plain", ""), ("attacked", "stealthy")))
    made = Plan("toy", "", 0.0, (Comparison("loss=npo", "toy", str(tmp_path / "tiny"), SETUP, runs),))
    run_plan(made, tmp_path / "out", say=print, bar=bar)
    return made


def test_the_plans_own_metric_gives_the_same_curves_and_tables(tmp_path, plan):
    out, by = tmp_path / "out", tmp_path / "out" / "by rouge_l_recall"
    reread_plan(plan, out, by, "rouge_l_recall", say=print)
    for run in ("plain-0", "attacked-0"):
        assert read_curve(by / "loss=npo" / run) == read_curve(out / "loss=npo" / run)
    assert (by / "claims.json").read_bytes() == (out / "claims.json").read_bytes()
    assert (by / "report.html").is_file()


def test_another_metric_is_of_the_answers_that_were_kept(tmp_path, plan):
    out, by, said = tmp_path / "out", tmp_path / "by", []
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    tables = reread_plan(plan, out, by, "rouge_l_f1", say=said.append)
    assert said == ["2 runs read by rouge_l_f1."]
    assert {c.metric for c in tables.cells} == {"rouge_l_f1"}
    assert "Read by rouge_l_f1." in (by / "table.md").read_text()
    folder = by / "loss=npo" / "attacked-0"
    assert read_manifest(folder)["metric"] == "rouge_l_f1"
    asked = {row.id: row for row in BENCH.asked}
    last = read_curve(folder)[-1]
    for line in read_jsonl(out / "loss=npo" / "attacked-0" / ANSWERS):
        if line["step"] == last["step"] and line["split"] == "forget":
            value = rouge_l_f1(Generation(line["answer"], 0, finished=True), asked[line["id"]])
            assert last["forget"][line["id"]] == round(value, 4)
    assert before == {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_what_cannot_be_read_says_why(tmp_path, plan):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="a metric of answers"):
        reread_plan(plan, out, tmp_path / "by", "loss", say=print)
    with pytest.raises(MissingError, match="no finished run of toy"):
        reread_plan(plan, tmp_path / "none", tmp_path / "by", "rouge_l_f1", say=print)
    (comparison,) = plan.comparisons
    longer = replace(comparison, setup=replace(SETUP, config=replace(SETUP.config, epochs=3)))
    with pytest.raises(InputError, match=r"config\.epochs 1, now 3"):
        reread_plan(replace(plan, comparisons=(longer,)), out, tmp_path / "by", "rouge_l_f1", say=print)
    kept = out / "loss=npo" / "plain-0" / ANSWERS
    lines = read_jsonl(kept)
    write_jsonl(kept, [{**lines[0], "id": "nobody"}, *lines])
    with pytest.raises(InputError, match="nobody, which this plan doesn't ask"):
        reread_plan(plan, out, tmp_path / "by", "rouge_l_f1", say=print)
    kept.unlink()
    with pytest.raises(MissingError, match="kept no answers"):
        reread_plan(plan, out, tmp_path / "by", "rouge_l_f1", say=print)
    other = replace(plan, name="toy")
    with pytest.raises(InputError, match="no seed 7"):
        reread_plan(other, out, tmp_path / "by", "rouge_l_f1", say=print, part=Part(seeds=[7]))
