import os
import shutil
import signal
from dataclasses import replace
from functools import partial

import pytest
from tests.tiny import tiny_lm
from tests.toy import BENCH, bar, rows

from forgetwell.errors import InputError, MissingError, RunsFailed
from forgetwell.experiments import claims, grid, probing
from forgetwell.experiments.claims import Run, Setup
from forgetwell.experiments.grid import planned, run_plan
from forgetwell.experiments.parts import Part, cut
from forgetwell.experiments.plan import Comparison, Plan
from forgetwell.experiments.tables import CELLS, RunReading, cells_table
from forgetwell.experiments.workers import execute_all
from forgetwell.files import read_json, read_jsonl, write_json, write_jsonl
from forgetwell.methods.finetune import Lora
from forgetwell.runs.folder import CURVE, LOCKS, MANIFEST, STARTED, held, read_manifest
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


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_fails_does_not_end_the_others(tmp_path, plan, jobs):
    (comparison,) = plan.comparisons
    broken = Run("broken", 0, "stealthy(p=1, templates=rwku)", "npo + gdr")
    mixed = replace(plan, comparisons=(replace(comparison, runs=(broken, *comparison.runs)),))
    said, out = [], tmp_path / "out"
    with pytest.raises(RunsFailed, match="1 of 5 runs failed") as failed:
        run_plan(mixed, out, say=said.append, bar=bar, jobs=jobs)
    folder = out / "loss=npo" / "broken-0"
    assert f"{folder}: Row 'f0' is a question, and the template set rwku is for text" in str(failed.value)
    assert sum(" failed, " in line for line in said) == 1
    assert said[-1].startswith("5 of 5")
    ended = {(c["condition"], c["seed"]) for c in read_jsonl(out / CELLS) if c["at"] == "end"}
    assert ended == {("plain", 0), ("plain", 1), ("attacked", 0), ("attacked", 1)}
    assert not is_complete(folder)


class Killed:
    """Work whose process doesn't live."""

    def execute(self, threads=0):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_process_is_said_with_what_helps():
    with pytest.raises(RunsFailed, match="fewer --jobs"):
        list(execute_all([Killed(), Killed()], 2, "local"))


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
        "attacked": ((), "npo + gdr"),
        "repaired": (("strip",), "npo + gdr"),
        "defended": ((), "npo + gdr + 5*su"),
        "both": (("strip",), "npo + gdr + 5*su"),
    }
    runs = tuple(Run(c, 0, "stealthy", text, repairs=fix) for c, (fix, text) in made.items())
    (comparison,) = plan.comparisons
    plan = replace(plan, comparisons=(replace(comparison, runs=runs),))
    tables = run_plan(plan, tmp_path / "out", say=print, bar=bar)
    assert {"repair returns", "repair and su returns", "repair and su beyond su"} <= {
        c.name for c in tables.claims["loss=npo"] if c.at == "end"
    }


def test_a_comparison_or_bench_that_is_not_there_is_said(tmp_path, plan, monkeypatch):
    with pytest.raises(InputError, match="it has loss=npo"):
        run_plan(plan, tmp_path / "out", say=print, bar=bar, part=Part(["loss=ga"]))

    def nowhere():
        raise MissingError("no data")

    monkeypatch.setattr(grid, "bind_bench", lambda text: nowhere)
    said = []
    for run in (partial(run_plan, bar=bar), planned):
        with pytest.raises(MissingError, match="the data of none of its comparisons is here"):
            run(plan, tmp_path / "out", say=said.append)
    assert said == ["toy is left out: no data"] * 2
    assert not (tmp_path / "out").exists()

    monkeypatch.setattr(grid, "bind_bench", lambda text: nowhere if text == "toy" else lambda: BENCH)
    (first,) = plan.comparisons
    several = replace(plan, comparisons=(first, replace(first, name="b", bench="here", runs=first.runs[:1])))
    assert [p.comparison.name for p in planned(several, tmp_path / "out", say=said.append)] == ["b"]
    tables = run_plan(several, tmp_path / "out", say=said.append, bar=bar)
    assert {c.comparison for c in tables.cells} == {"b"}
    with pytest.raises(MissingError, match="none of its comparisons"):
        planned(several, tmp_path / "out", say=said.append, part=Part(["loss=npo"]))


def test_a_model_that_is_not_there_is_found_before_anything_runs(tmp_path, plan):
    (comparison,) = plan.comparisons
    gone = replace(plan, comparisons=(replace(comparison, model="gone"),))
    for run in (partial(run_plan, bar=bar), planned):
        with pytest.raises(MissingError, match="No model 'gone'"):
            run(gone, tmp_path / "out", say=print)
    assert not (tmp_path / "out").exists()


def changed(plan, **options):
    """Return a plan with another setup in its one comparison, or with other runs or another model."""
    (comparison,) = plan.comparisons
    return replace(plan, comparisons=(replace(comparison, **options),))


def trained(plan, **options):
    setup = plan.comparisons[0].setup
    return changed(plan, setup=replace(setup, config=replace(setup.config, **options)))


def refused(plan, out, says, **options):
    """Say what a plan is refused with, before anything is done, and in a dry run alike."""
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for run in (partial(run_plan, bar=bar), planned):
        with pytest.raises(InputError, match=says):
            run(plan, out, say=print, **options)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_finished_runs_of_other_settings_are_refused(tmp_path, plan):
    out = tmp_path / "out"
    run_plan(plan, out, say=print, bar=bar)
    refused(
        trained(plan, lr=1e-4),
        out,
        r"out/loss=npo/plain-0 holds a finished run with other settings \(config.lr 2e-05, now 0.0001\)",
    )
    refused(trained(plan, max_steps=1), out, r"\(config.max_steps 0, now 1\)")
    runs = tuple(replace(r, objective="npo + 2*gdr") for r in plan.comparisons[0].runs)
    refused(changed(plan, runs=runs), out, r"\(objective npo \+ gdr, now npo \+ 2\*gdr\)")
    tiny_lm().save(tmp_path / "other")
    refused(changed(plan, model=str(tmp_path / "other")), out, r"\(model .*/tiny, now .*/other\)")
    refused(changed(plan, setup=replace(plan.comparisons[0].setup, lora=Lora(rank=2))), out, r"\(lora\)")
    assert {p.state for p in planned(plan, out, say=print)} == {"done"}


def test_the_tables_hold_comparisons_that_are_not_run_now_and_so_they_are_checked(tmp_path, plan):
    (first,) = plan.comparisons
    both = replace(plan, comparisons=(first, replace(first, name="loss=ga", runs=first.runs[:1])))
    run_plan(both, tmp_path / "out", say=print, bar=bar, part=Part(["loss=npo"]))
    other = replace(both, comparisons=tuple(trained(replace(plan, comparisons=(c,)), lr=1.0).comparisons[0]
                                            for c in both.comparisons))  # fmt: skip
    refused(other, tmp_path / "out", "loss=npo/plain-0 holds a finished run", part=Part(["loss=ga"]))


def test_runs_made_before_a_part_of_training_could_be_set_are_still_theirs(tmp_path, plan):
    """``step_rule`` came later than the first runs, and is ``plain`` where nothing was said."""
    run_plan(plan, tmp_path / "out", say=print, bar=bar)
    for path in (tmp_path / "out").rglob("manifest.json"):
        made = read_json(path)
        for name in ("step_rule", "checkpointing"):
            del made["config"][name]
        write_json(path, made)
    assert {p.state for p in planned(plan, tmp_path / "out", say=print)} == {"done"}
    refused(trained(plan, step_rule="surgery"), tmp_path / "out", "config.step_rule plain, now surgery")


def test_runs_under_other_code_of_ones_own_are_refused(tmp_path, plan, monkeypatch):
    code = {}
    monkeypatch.setattr(claims, "own_code", lambda items: code)
    run_plan(plan, tmp_path / "out", say=print, bar=bar)
    code["term npo"] = "a"
    refused(plan, tmp_path / "out", r"\(own_code\)")
    for path in (tmp_path / "out").rglob("manifest.json"):
        write_json(path, {**read_json(path), "own_code": {"term npo": "b"}})
    refused(plan, tmp_path / "out", r"\(the code of term npo\)")
    code.clear()
    refused(plan, tmp_path / "out", r"\(own_code\)")


def test_a_run_that_another_process_makes_with_other_settings_is_refused(tmp_path, plan):
    out, said = tmp_path / "out", []
    run_plan(plan, tmp_path / "elsewhere", say=print, bar=bar, part=Part(seeds=[0]))
    folder = out / "loss=npo" / "plain-0"
    write_json(
        folder / STARTED, {**read_json(tmp_path / "elsewhere/loss=npo/plain-0/started.json"), "floor": 1}
    )
    with (
        held(folder, out / LOCKS),
        pytest.raises(InputError, match=r"is being made by another process with other .*floor 1, now 0"),
    ):
        run_plan(plan, out, say=said.append, bar=bar)
    write_json(folder / MANIFEST, read_json(folder / STARTED))  # as it ends there
    refused(plan, out, "floor 1, now 0")


class TestLearnedStarts:
    """A model that learned the same is the same wherever it lies."""

    @pytest.fixture
    def taught(self, tmp_path, plan, monkeypatch):
        bench = replace(BENCH, learn=rows("l", 2), learning=TrainConfig(max_steps=1, batch=2))
        monkeypatch.setattr(grid, "bind_bench", lambda text: lambda: bench)
        return changed(plan, runs=plan.comparisons[0].runs[:2])

    def test_a_plan_goes_on_from_a_model_that_was_learned_elsewhere(self, tmp_path, taught):
        other, second = trained(taught, lr=1e-4), tmp_path / "second"
        run_plan(taught, tmp_path / "first", say=print, bar=bar)
        run_plan(other, second, say=print, bar=bar, reuse=[tmp_path / "first"])
        assert not list(second.glob("known*"))
        again = partial(planned, other, second, say=print)
        assert {p.state for p in again()} == {p.state for p in again(reuse=[tmp_path / "first"])} == {"done"}
        (tmp_path / "first").rename(tmp_path / "moved")
        moved = partial(planned, taught, tmp_path / "moved", say=print)
        assert {p.state for p in moved()} == {p.state for p in again()} == {"done"}
        started = tmp_path / "moved" / "known toy tiny" / STARTED
        older = read_json(started)
        write_json(started, {**older, "request": {**older["request"], "digest": "of no rows, as it was"}})
        assert {p.state for p in moved()} == {"done"}
        write_json(started, {**older, "retain": {**older["retain"], "digest": "of others"}})
        refused(taught, tmp_path / "moved", r"\(learned: retain.digest\)")
        write_json(started, older)
        refused(other, tmp_path / "moved", "config.lr 2e-05, now 0.0001")

    def test_another_model_of_that_folder_name_is_refused(self, tmp_path, taught):
        run_plan(taught, tmp_path / "out", say=print, bar=bar)
        tiny_lm().save(tmp_path / "b" / "tiny")
        other = changed(taught, model=str(tmp_path / "b" / "tiny"))
        refused(other, tmp_path / "out", r"\(learned: model .*/tiny, now .*/b/tiny\)")

    def test_a_finished_plan_needs_no_model(self, tmp_path, taught):
        run_plan(taught, tmp_path / "out", say=print, bar=bar)
        for folder in (tmp_path / "tiny", tmp_path / "out" / "known toy tiny"):
            shutil.rmtree(folder)
        said = []
        run_plan(taught, tmp_path / "out", say=said.append, bar=bar)
        assert said == ["2 runs, 2 of them done before."]


def test_comparisons_are_chosen_by_whole_parts_of_their_names(plan):
    (first,) = plan.comparisons
    names = ["loss=npo attack=stealthy(p=0.2)", "loss=npo attack=stealthy(p=0.25)", "loss=ga attack=casing"]
    several = replace(plan, comparisons=tuple(replace(first, name=name) for name in names))

    def chosen(*only):
        return [names.index(c.name) for c in cut(several, Part(only)).comparisons]

    assert chosen() == [0, 1, 2]
    assert chosen("loss=npo") == [0, 1]
    assert chosen("attack=stealthy(p=0.2)", "attack=casing") == [0, 2]
    with pytest.raises(InputError, match="no comparison 'loss=np'"):
        chosen("loss=np")


def test_seeds_can_be_run_one_after_the_other_into_one_table(tmp_path, plan):
    run_plan(plan, tmp_path / "out", say=print, bar=bar, part=Part(seeds=[1]))
    said = []
    tables = run_plan(plan, tmp_path / "out", say=said.append, bar=bar, part=Part(["loss=npo"], [0]))
    assert said[0] == "2 runs, 0 of them done before."
    assert {c.seed for c in tables.cells} == {0, 1}
    assert {c.seeds for c in tables.claims["loss=npo"]} == {(0, 1)}
    with pytest.raises(InputError, match="no seed 2; it has 0, 1"):
        run_plan(plan, tmp_path / "out", say=print, bar=bar, part=Part(seeds=[2]))


def test_cells_are_means_with_deviations_over_seeds(tmp_path):
    cells = [RunReading("x", "plain", s, "end", f, 0.5, 0.25) for s, f in ((0, 0.2), (1, 0.4))]
    assert "| x | plain | end | 0.300 ± 0.141 | 0.500 ± 0.000 | 0.250 ± 0.000 | 2 |" in cells_table(cells)
    write_jsonl(tmp_path / CELLS, cells)
    assert [RunReading(**c) for c in read_jsonl(tmp_path / CELLS)] == cells


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("max_new_tokens", 3, r"\(asking.max_new_tokens 4, now 3\)"),
        ("templates", "rwku", r"\(asking.templates\)"),
        ("others", rows("o", 3), r"\(asking.others\)"),
    ],
)
def test_what_a_bench_asks_beside_its_rows_is_part_of_a_run(tmp_path, plan, monkeypatch, option, value, says):
    plan = changed(plan, runs=plan.comparisons[0].runs[:1])
    run_plan(plan, tmp_path / "out", say=print, bar=bar)
    monkeypatch.setattr(grid, "bind_bench", lambda text: lambda: replace(BENCH, **{option: value}))
    refused(plan, tmp_path / "out", says)
    (other,) = planned(plan, tmp_path / "other", say=print, reuse=[tmp_path / "out"])
    assert other.state == "open"
