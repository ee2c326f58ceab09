from dataclasses import replace

import pytest
from tests.tiny import tiny_lm
from tests.toy import BENCH, bar, rows

from forgetwell.errors import InputError, MissingError
from forgetwell.experiments import grid, probing
from forgetwell.experiments.claims import Run, Setup
from forgetwell.experiments.grid import planned, run_plan
from forgetwell.experiments.plan import Comparison, Plan, cut
from forgetwell.experiments.tables import CELLS, Cell, cells_table
from forgetwell.files import read_jsonl, write_jsonl
from forgetwell.runs.folder import CURVE, LOCKS, held, read_manifest
from forgetwell.runs.records import is_complete
from forgetwell.training.config import TrainConfig

SETUP = Setup(config=TrainConfig(epochs=2, batch=2, probe_every=1), per_set=2, floor=0.0)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    tiny_lm().save(tmp_path / "tiny")
    monkeypatch.setattr(grid, "bind_bench", lambda text: lambda: BENCH)
    runs = tuple(
        Run(c, s, a, "npo + gdr") for s in (0, 1) for c, a in (("plain", ""), ("attacked", "stealthy"))
    )
    return Plan("toy", "", 0.0, (Comparison("loss=npo", "toy", str(tmp_path / "tiny"), SETUP, runs),))


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_plan_runs_what_is_missing_and_tables_hold_every_run(tmp_path, plan, jobs):
    said = []
    tables = run_plan(plan, tmp_path / "out", say=said.append, bar=bar, jobs=jobs)
    assert said[0] == "4 runs, 0 of them done before."
    assert said[-1].startswith("4 of 4 done, about 0 min left")
    assert {(c.condition, c.seed) for c in tables.cells if c.at == "end"} == {
        ("plain", 0), ("plain", 1), ("attacked", 0), ("attacked", 1)
    }  # fmt: skip
    assert len(read_jsonl(tmp_path / "out" / CELLS)) == len(tables.cells)
    assert "| loss=npo | plain | end |" in (tmp_path / "out" / "table.md").read_text()
    assert any(c.name == "attack takes" for c in tables.claims["loss=npo"])

    curve = tmp_path / "out" / "loss=npo" / "plain-0" / CURVE
    before = curve.stat().st_mtime_ns
    (tmp_path / "out" / "loss=npo" / "attacked-1" / "manifest.json").unlink()  # as if interrupted
    said.clear()
    again = run_plan(plan, tmp_path / "out", say=said.append, bar=bar)
    assert said[0] == "4 runs, 3 of them done before."
    assert curve.stat().st_mtime_ns == before
    assert again.cells == tables.cells  # the run that was made again is the same


def test_a_run_that_another_process_is_at_is_left_to_it(tmp_path, plan):
    out, said = tmp_path / "out", []
    with held(out / "loss=npo" / "attacked-0", out / LOCKS):
        run_plan(plan, out, say=said.append, bar=bar)
    assert "2 of 4 done, this one by another process" in said[2]
    assert not (out / "loss=npo" / "attacked-0").exists()
    said.clear()
    run_plan(plan, out, say=said.append, bar=bar)
    assert said[0] == "4 runs, 3 of them done before."
    assert is_complete(out / "loss=npo" / "attacked-0")


def test_an_interrupted_plan_leaves_the_tables_of_what_is_done(tmp_path, plan):
    def interrupt(line):
        if line.startswith("2 of 4 done"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, tmp_path / "out", say=interrupt, bar=bar)
    table = (tmp_path / "out" / "table.md").read_text()
    assert "attack takes" in table  # the first seed has both conditions
    assert {c["seed"] for c in read_jsonl(tmp_path / "out" / CELLS)} == {0}


def test_what_was_learned_elsewhere_is_not_learned_again(tmp_path, plan, monkeypatch):
    learning = TrainConfig(max_steps=1, batch=2)
    bench = replace(BENCH, learn=rows("l", 2), learning=learning)
    monkeypatch.setattr(grid, "bind_bench", lambda text: lambda: bench)
    (comparison,) = plan.comparisons
    plan = replace(plan, comparisons=(replace(comparison, runs=comparison.runs[:1]),))
    run_plan(plan, tmp_path / "first", say=print, bar=bar)
    known, said = tmp_path / "first" / "known toy tiny", []
    run_plan(plan, tmp_path / "second", say=said.append, bar=bar, reuse=(known,))
    assert f"     reused {known}" in said
    assert not (tmp_path / "second" / known.name).exists()
    with pytest.raises(MissingError, match="There is no folder"):
        run_plan(plan, tmp_path / "third", say=said.append, bar=bar, reuse=(tmp_path / "none",))


def test_runs_of_other_plans_are_taken_over_whatever_their_part_there(tmp_path, plan, monkeypatch):
    run_plan(plan, tmp_path / "first", say=print, bar=bar)
    (comparison,) = plan.comparisons
    runs = tuple(replace(r, condition="eta0") for r in comparison.runs if r.condition == "attacked")
    second = replace(plan, comparisons=(replace(comparison, runs=runs),))
    monkeypatch.setattr(grid, "run_claim", lambda *_, **__: pytest.fail("run again"))
    said, before = [], replace(second, comparisons=(replace(comparison, runs=(*runs, comparison.runs[0])),))
    states = [p.state for p in planned(before, tmp_path / "second", say=print, reuse=[tmp_path / "first"])]
    assert states == ["reused", "reused", "reused"]
    assert {p.state for p in planned(before, tmp_path / "second", say=print)} == {"open"}
    run_plan(second, tmp_path / "second", say=said.append, bar=bar, reuse=[tmp_path / "first"])
    assert [p.state for p in planned(before, tmp_path / "second", say=print)] == ["done", "done", "open"]
    assert said[-1] == "2 runs, 2 of them done before."
    for seed in (0, 1):
        ours, theirs = (
            tmp_path / f"second/loss=npo/eta0-{seed}", tmp_path / f"first/loss=npo/attacked-{seed}"
        )  # fmt: skip
        assert (ours / CURVE).read_bytes() == (theirs / CURVE).read_bytes()
        assert read_manifest(ours)["condition"] == "eta0"
    run_plan(second, tmp_path / "second", say=said.append, bar=bar)  # their settings are ours
    longer = replace(comparison.setup, config=replace(comparison.setup.config, epochs=3))
    other = replace(second, comparisons=(replace(second.comparisons[0], setup=longer),))
    with pytest.raises(pytest.fail.Exception, match="run again"):
        run_plan(other, tmp_path / "third", say=print, bar=bar, reuse=[tmp_path / "first"])


def test_what_is_measured_before_the_first_step_is_measured_once(tmp_path, plan, monkeypatch):
    asked = []
    plain = probing.answered

    def answered(lm, questions, metric, **options):
        asked.append(len(questions))
        return plain(lm, questions, metric, **options)

    monkeypatch.setattr(probing, "answered", answered)
    run_plan(plan, tmp_path / "out", say=print, bar=bar)
    starts = list((tmp_path / "out" / "starts").glob("*.json"))
    assert len(starts) == 2  # one a seed: other questions
    kept = [read_jsonl(p)[0] for p in sorted((tmp_path / "out" / "loss=npo").glob("*-0/curve.jsonl"))]
    assert kept[0] == kept[1]
    many = len(asked)
    run_plan(plan, tmp_path / "out2", say=print, bar=bar)
    assert len(asked) == 2 * many


def test_repairs_have_claims_of_their_own(tmp_path, plan):
    made = {
        "attacked": ("", "npo + gdr"),
        "repaired": ("strip", "npo + gdr"),
        "defended": ("", "npo + gdr + 5*su"),
        "both": ("strip", "npo + gdr + 5*su"),
    }
    runs = tuple(Run(c, 0, "stealthy", text, repair=fix) for c, (fix, text) in made.items())
    (comparison,) = plan.comparisons
    plan = replace(plan, comparisons=(replace(comparison, runs=runs),))
    tables = run_plan(plan, tmp_path / "out", say=print, bar=bar)
    assert {"repair returns", "repair and su returns", "repair and su beyond su"} <= {
        c.name for c in tables.claims["loss=npo"] if c.at == "end"
    }


def test_a_comparison_or_bench_that_is_not_there_is_said(tmp_path, plan, monkeypatch):
    with pytest.raises(InputError, match="it has loss=npo"):
        run_plan(plan, tmp_path / "out", say=print, bar=bar, only=["loss=ga"])

    def nowhere():
        raise MissingError("no data")

    monkeypatch.setattr(grid, "bind_bench", lambda text: nowhere)
    said = []
    assert run_plan(plan, tmp_path / "out", say=said.append, bar=bar).cells == ()
    assert said[0] == "toy is left out: no data"


def test_comparisons_are_chosen_by_whole_parts_of_their_names(plan):
    (first,) = plan.comparisons
    names = ["loss=npo attack=stealthy(p=0.2)", "loss=npo attack=stealthy(p=0.25)", "loss=ga attack=casing"]
    several = replace(plan, comparisons=tuple(replace(first, name=name) for name in names))

    def chosen(*only):
        return [names.index(c.name) for c in cut(several, only).comparisons]

    assert chosen() == [0, 1, 2]
    assert chosen("loss=npo") == [0, 1]
    assert chosen("attack=stealthy(p=0.2)", "attack=casing") == [0, 2]
    with pytest.raises(InputError, match="no comparison 'loss=np'"):
        chosen("loss=np")


def test_seeds_can_be_run_one_after_the_other_into_one_table(tmp_path, plan):
    run_plan(plan, tmp_path / "out", say=print, bar=bar, seeds=[1])
    said = []
    tables = run_plan(plan, tmp_path / "out", say=said.append, bar=bar, only=["loss=npo"], seeds=[0])
    assert said[0] == "2 runs, 0 of them done before."
    assert {c.seed for c in tables.cells} == {0, 1}
    assert {c.seeds for c in tables.claims["loss=npo"]} == {(0, 1)}
    with pytest.raises(InputError, match="no seed 2; it has 0, 1"):
        run_plan(plan, tmp_path / "out", say=print, bar=bar, seeds=[2])


def test_cells_are_means_with_deviations_over_seeds(tmp_path):
    cells = [Cell("x", "plain", s, "end", f, 0.5, 0.25) for s, f in ((0, 0.2), (1, 0.4))]
    assert "| x | plain | end | 0.300 ± 0.141 | 0.500 ± 0.000 | 0.250 ± 0.000 | 2 |" in cells_table(cells)
    write_jsonl(tmp_path / CELLS, cells)
    assert [Cell(**c) for c in read_jsonl(tmp_path / CELLS)] == cells
