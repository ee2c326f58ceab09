import json
from dataclasses import replace

import pytest
from tests.tiny import tiny_lm
from tests.toy import rows

from forgetwell.errors import InputError
from forgetwell.experiments import claims, probing
from forgetwell.experiments.bench import Bench, sampled_utility
from forgetwell.experiments.benches.world import world
from forgetwell.experiments.claims import Run, Setup, run_claim, run_folder
from forgetwell.experiments.probing import ANSWERS, read_curve
from forgetwell.experiments.reading import claims_of, read_as_far, read_claims, read_place
from forgetwell.experiments.tables import claims_table
from forgetwell.files import read_jsonl, write_json, write_jsonl
from forgetwell.metrics.rouge import rouge_l_recall
from forgetwell.runs.folder import CURVE, MANIFEST, read_manifest
from forgetwell.suites.probe import Said
from forgetwell.training.config import TrainConfig
from forgetwell.types import Generation

BENCH = Bench(
    "toy", (), TrainConfig(), rows("f", 2), rows("r", 4), {"kept": rows("r", 4), "other": rows("o", 6)}, 4
)
SETUP = Setup(config=TrainConfig(epochs=2, batch=2, probe_every=1), per_set=2)


WILD = TrainConfig(lr=1e30, clip=0.0, epochs=2, batch=2, probe_every=1)


def runs_of(conditions, seeds):
    return [Run(c, s, "stealthy(p=0.33)", "npo + gdr + 5*su") for s in seeds for c in conditions]


def test_a_run_keeps_every_row_and_is_reused(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load", lambda name: tiny_lm())
    (run,) = runs_of(["defended"], [3])
    folder = run_claim(BENCH, SETUP, run, tmp_path / "known", tmp_path, refusals=())
    curve = read_curve(folder)
    assert [c["step"] for c in curve] == [0, 1]  # it knows nothing, so the floor is reached at once
    assert set(curve[0]["forget"]) == {"f0", "f1"}
    assert {k: len(v) for k, v in curve[0]["utility"].items()} == {
        "kept/clean": 2, "kept/trigger": 8, "other/clean": 2, "other/trigger": 8
    }  # fmt: skip
    before = (folder / CURVE).read_bytes()
    run_claim(BENCH, SETUP, run, tmp_path / "known", tmp_path, refusals=())
    assert (folder / CURVE).read_bytes() == before
    with pytest.raises(InputError, match="floor"):
        run_claim(BENCH, replace(SETUP, floor=0.9), run, tmp_path / "known", tmp_path, refusals=())


def test_without_a_floor_a_run_takes_all_its_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load", lambda name: tiny_lm())
    (run,) = runs_of(["defended"], [3])
    folder = run_claim(BENCH, replace(SETUP, floor=0), run, tmp_path / "known", tmp_path, refusals=())
    assert [c["step"] for c in read_curve(folder)] == [0, 1, 2]  # though nothing is known at any


def test_a_run_that_diverged_is_recorded_and_has_no_end(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load", lambda name: tiny_lm())
    (run,) = runs_of(["attacked"], [0])
    setup = replace(SETUP, config=WILD, floor=0)
    folder = run_claim(BENCH, setup, run, tmp_path / "known", tmp_path, refusals=())
    manifest = read_manifest(folder)
    assert manifest["diverged"]
    assert "the weights of step 1 give no finite loss" in manifest["stopped"]
    curve = read_curve(folder)
    assert [c["step"] for c in curve] == [0, 1]
    assert "utility" in curve[-1]
    assert read_place(curve, None) is None
    assert run_claim(BENCH, setup, run, tmp_path / "known", tmp_path, refusals=()) == folder


@pytest.mark.parametrize("then", ["", "gdr"])
def test_what_was_said_gives_the_curve(tmp_path, monkeypatch, then):
    monkeypatch.setattr(claims, "load", lambda name: tiny_lm())
    bench = replace(BENCH, others=rows("x", 2))
    first, second = (replace(r, then=then) for r in runs_of(["attacked", "again"], [0]))
    starts, known = tmp_path / "starts", tmp_path / "known"
    folder, again = (
        run_claim(bench, SETUP, run, known, tmp_path, refusals=(), starts=starts) for run in (first, second)
    )
    for name in (CURVE, ANSWERS):  # the second one read what the first one had said before the first step
        assert (folder / name).read_bytes() == (again / name).read_bytes()
    said = {(a["step"], a["split"], a["id"]): a["answer"] for a in read_jsonl(folder / ANSWERS)}
    asked = {"forget": bench.asked, **sampled_utility(bench, per_set=2, seed=0)}
    curve = read_curve(folder)
    assert bool(curve[-1].get("then")) == bool(then)
    assert len(said) == sum(len(c["forget"]) + sum(map(len, c["utility"].values())) for c in curve)
    for checkpoint in curve:
        for key, values in {"forget": checkpoint["forget"], **checkpoint["utility"]}.items():
            for row in asked[key]:
                value = rouge_l_recall(Generation(said[checkpoint["step"], key, row.id], 0, True), row)
                assert values[row.id] == pytest.approx(value, abs=1e-4)


def test_utility_can_be_left_to_where_a_run_stops(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load", lambda name: tiny_lm())
    forgotten = iter([0.9, 0.8, 0.6, 0.2])
    asked = {"f0", "f1"}

    def answered(lm, questions, metric, **_):
        value = next(forgotten) if {r.id for r in questions} == asked else 1.0
        return [Said("", value)] * len(questions)

    monkeypatch.setattr(probing, "answered", answered)
    (run,) = runs_of(["attacked"], [0])
    config = TrainConfig(epochs=5, batch=2, probe_every=1)
    setup = replace(SETUP, config=config, floor=0.3, utility_below=0.3)
    curve = read_curve(run_claim(BENCH, setup, run, tmp_path / "known", tmp_path, refusals=()))
    assert [("utility" in c) for c in curve] == [True, False, False, True]


def test_another_metric_is_read_on_the_rows_to_which_it_applies(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load", lambda name: tiny_lm())

    def told(rows):  # of the first row alone something says what the fact is
        return (replace(rows[0], wrong=("Zzz",)), *rows[1:])

    bench = replace(BENCH, request=told(BENCH.request), utility={"kept": told(BENCH.utility["kept"])})
    setup = replace(SETUP, metric="fact_recall", floor=0.0, per_set=4)
    assert setup.left == "forget.fact_recall"
    runs = runs_of(["plain", "attacked"], [0])
    for run in runs:
        run_claim(bench, setup, run, tmp_path / "known", tmp_path, refusals=())
    first = read_curve(run_folder(tmp_path, runs[0]))[0]
    assert list(first["forget"]) == ["f0"]
    assert {k: len(v) for k, v in first["utility"].items()} == {"kept/clean": 1, "kept/trigger": 4}
    found = {c.name: c.interval.n for c in read_claims(bench, runs, tmp_path, per_set=4, levels=())}
    assert (found["attack takes"], found["attack takes of clean"]) == (4, 1)
    with pytest.raises(InputError, match="fact_recall applies to no row of forget"):
        run_claim(BENCH, setup, runs[0], tmp_path / "known", tmp_path / "b", refusals=())


def test_a_method_and_what_follows_it_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load", lambda name: tiny_lm())
    bench = replace(BENCH, others=rows("x", 4))
    setup = replace(SETUP, config=TrainConfig(lr=1e-3, epochs=2, batch=2))
    run = Run("vector", 0, "", "", method="task_vector(alpha=1)", then="gdr")
    curve = read_curve(run_claim(bench, setup, run, tmp_path / "known", tmp_path, refusals=()))
    assert [(c["step"], c.get("then", False)) for c in curve] == [(2, False), (6, True)]
    assert all("utility" in c for c in curve)
    assert read_place(curve, None) is not None
    assert read_place(curve, 0.4) is None  # a curve that turned back has no single place


def test_a_repaired_run_trains_on_what_is_left_and_says_what_was_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load", lambda name: tiny_lm())
    bench = replace(BENCH, request=rows("f", 8))
    setup = replace(SETUP, floor=0.0, config=TrainConfig(epochs=1, batch=2), trigger="synonyms(word=then)")
    dropped = Run(
        "high_loss", 0, "stealthy(p=0.5)", "npo + gdr", repairs=("drop",), screens=("high_loss(share=0.5)",)
    )
    folder = run_claim(bench, setup, dropped, tmp_path / "known", tmp_path, refusals=())
    assert run_claim(bench, setup, dropped, tmp_path / "known", tmp_path, refusals=()) == folder  # reused
    facts = read_manifest(folder)["received"]
    assert (facts["rows"], facts["repaired"]) == (8, 4)
    assert 0 < facts["rewritten"] < 8
    curve = read_curve(folder)
    assert [c["step"] for c in curve] == [0, 2]  # 4 rows left, 2 a step
    assert len(curve[-1]["forget"]) == 8  # all are asked
    assert "utility" in curve[-1]


def test_runs_made_before_a_setting_existed_are_still_theirs(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "load", lambda name: tiny_lm())
    (run,) = runs_of(["plain"], [0])
    folder = run_claim(BENCH, SETUP, run, tmp_path / "known", tmp_path, refusals=())
    older = {k: v for k, v in read_manifest(folder).items() if k not in ("repair", "screens", "trigger")}
    write_json(folder / MANIFEST, older)
    assert run_claim(BENCH, SETUP, run, tmp_path / "known", tmp_path, refusals=()) == folder
    with pytest.raises(InputError, match="repair"):
        run_claim(BENCH, SETUP, replace(run, repairs=("strip",)), tmp_path / "known", tmp_path, refusals=())


def fake_run(out, run, trigger, clean=0.9):
    """Forgetting falls evenly from 1 to 0; utility stands at its end value from the first checkpoint on."""
    folder = run_folder(out, run)
    folder.mkdir(parents=True)
    splits = sampled_utility(BENCH, per_set=2, seed=run.seed)
    utility = {k: {r.id: trigger if k.endswith("trigger") else clean for r in v} for k, v in splits.items()}
    write_jsonl(
        folder / CURVE,
        [{"step": s, "forget": {"f0": 1 - s / 4, "f1": 1 - s / 4}, "utility": utility} for s in range(5)],
    )
    write_json(folder / MANIFEST, {})


def test_the_others_are_read_where_as_much_is_left_as_one_condition_ends_with():
    """Worked by hand: plain and attacked pass .25 halfway between their last two checkpoints."""
    splits = sampled_utility(BENCH, per_set=2, seed=0)

    def point(left, trigger):
        utility = {k: {r.id: trigger if k.endswith("trigger") else 0.9 for r in v} for k, v in splits.items()}
        return {"step": 0, "forget": {"f0": left, "f1": left}, "utility": utility}

    curves = {
        (0, "plain"): [point(1, 0.9), point(0.5, 0.8), point(0, 0.6)],
        (0, "attacked"): [point(1, 0.9), point(0.5, 0.6), point(0, 0.2)],
        (0, "counterfactual"): [point(1, 0.9), point(0, 0.1), point(0.25, 0.75)],
    }
    found = claims_of(BENCH, curves, per_set=2, levels=(), as_far_as=["counterfactual"])
    values = {c.name: c.interval.value for c in found if c.at == "end of counterfactual"}
    assert values["trigger/plain"] == pytest.approx(0.7)
    assert values["trigger/attacked"] == pytest.approx(0.4)
    assert values["counterfactual against honest"] == pytest.approx(0.05)
    assert values["counterfactual returns"] == pytest.approx(0.35)
    assert [values[f"forget/{c}"] for c in ("plain", "attacked", "counterfactual")] == [0.25] * 3
    deeper = {(1, c): [*curve[:-1], point(0.05, 0.7)] for (_, c), curve in curves.items()}
    found = claims_of(BENCH, curves | deeper, per_set=2, levels=(), as_far_as=["counterfactual"])
    left = {c.name: c.interval for c in found if c.at == "end of counterfactual"}["forget/plain"]
    assert (left.value, left.n) == (pytest.approx(0.15), 4)
    assert {c.at for c in found} == {"end", "end of counterfactual"}


def test_what_never_forgets_as_much_is_read_at_its_end():
    curve = [{"forget": {"f0": left}, "utility": {"kept/clean": {"k": left}}} for left in (1.0, 0.6)]
    deeper = [{"forget": {"f0": left}, "utility": {"kept/clean": {"k": 0.3}}} for left in (1.0, 0.2)]
    places = read_as_far({(0, "plain"): curve, (0, "x"): deeper}, "x")
    assert [places[0, c].forget for c in ("plain", "x")] == [0.6, 0.2]


def test_further_conditions_have_claims_by_their_own_name(tmp_path):
    values = {"plain": 0.8, "attacked": 0.4, "control": 0.5, "parts": 0.85}
    runs = runs_of(values, [0])
    for run in runs:
        fake_run(tmp_path, run, values[run.condition], clean=0.9 if run.condition == "plain" else 0.8)
    found = {c.name: c.interval.value for c in read_claims(BENCH, runs, tmp_path, per_set=2) if c.at == "end"}
    assert found["parts returns"] == pytest.approx(0.45)
    assert found["parts returns, share"] == pytest.approx(1.125)
    assert found["parts against honest"] == pytest.approx(0.05)
    assert found["parts beyond control"] == pytest.approx(0.35)
    assert found["parts's clean utility, against honest"] == pytest.approx(-0.1)
    assert "control beyond control" not in found
    assert not [name for name in found if "su" in name.split()]


def test_an_honest_request_treated_alike_is_compared(tmp_path):
    """X costs .8 - .7 without an attack; under attack it lies .15 below that."""
    values = {
        "plain": 0.8,
        "attacked": 0.4,
        "parts": 0.55,
        "plain_parts": 0.7,
        "defended": 0.6,
        "plain_su": 0.9,
    }
    runs = runs_of(values, [0])
    for run in runs:
        fake_run(tmp_path, run, values[run.condition], clean=0.5 if run.condition == "parts" else 0.75)
    found = {c.name: c.interval.value for c in read_claims(BENCH, runs, tmp_path, per_set=2) if c.at == "end"}
    assert found["parts without attack"] == pytest.approx(-0.1)
    assert found["parts against honest treated alike"] == pytest.approx(-0.15)
    assert found["parts's clean utility, against honest treated alike"] == pytest.approx(-0.25)
    assert found["parts's clean utility, without attack"] == pytest.approx(0.0)
    assert found["su without attack"] == pytest.approx(0.1)
    assert found["su against honest treated alike"] == pytest.approx(-0.3)
    assert not [name for name in found if name.startswith("plain_")]


def test_claims_are_what_the_runs_hold(tmp_path):
    values = {"plain": 0.8, "attacked": 0.4, "defended": 0.7, "control": 0.5, "plain_su": 0.8}
    runs = runs_of(values, [0, 1])
    for run in runs:
        fake_run(tmp_path, run, values[run.condition])
    found = {(c.at, c.name): c for c in read_claims(BENCH, runs, tmp_path, per_set=2)}
    expected = {
        "attack takes": 0.4,
        "attack takes, share": 0.5,
        "su returns": 0.3,
        "su returns, share": 0.75,
        "control returns, share": 0.25,
        "su beyond control": 0.2,
        "su's clean utility": 0.0,
        "trigger/attacked": 0.4,
        "clean/plain": 0.9,
    }
    for name, value in expected.items():
        claim = found["0.3", name]
        assert claim.interval.value == pytest.approx(value), name
        assert claim.seeds == (0, 1)
    assert found["0.3", "attack takes"].interval.n == 2 * 2 * 2 * 4  # seeds x sets x rows x templates
    assert found["end", "forget/plain"].interval.value == 0.0
    assert ("0.3", "repair returns") not in found
    assert "| 0.3 | su returns, share | 0.750 |" in claims_table({"toy/npo": list(found.values())})


def test_there_is_no_share_of_what_the_attack_did_not_surely_take(tmp_path):
    """It takes .2 of two rows and gives .1 to two: .05 in the mean, from −.1 to .2. A repair that gives the
    honest request back returns all of it in every resample: 1.00 [1.00, 1.00] of nothing."""
    kept = tuple(replace(r, subject="") for r in rows("r", 4))
    bench = replace(BENCH, utility={"kept": kept})
    runs = runs_of(["plain", "attacked", "repaired"], [0])
    for run in runs:
        folder = run_folder(tmp_path, run)
        folder.mkdir(parents=True)
        splits = sampled_utility(bench, per_set=4, seed=0)
        lost = (0.2, 0.2, -0.1, -0.1) if run.condition == "attacked" else (0.0,) * 4
        taken = {row.id: loss for row, loss in zip(kept, lost, strict=True)}
        utility = {k: {r.id: 0.5 - taken[r.id[:2]] for r in v} for k, v in splits.items()}
        write_jsonl(folder / CURVE, [{"step": 0, "forget": {"f0": 0.0}, "utility": utility}])
        write_json(folder / MANIFEST, {})
    claims = {c.name: c.interval for c in read_claims(bench, runs, tmp_path, per_set=4, levels=())}
    taken = claims["attack takes"]
    assert (taken.value, taken.low, taken.high) == pytest.approx((0.05, -0.1, 0.2))
    assert claims["repair returns"].value == pytest.approx(0.05)
    assert "repair returns, share" not in claims
    assert "attack takes, share" in claims  # of plain utility, which is there


def test_claims_tell_each_seed_s_own_value_beside_the_pooled_one(tmp_path):
    """The attack takes .4 with one seed and 0 with the other: .2."""
    runs = runs_of(["plain", "attacked"], [0, 1])
    for run, utility in zip(runs, (0.9, 0.5, 0.7, 0.7), strict=True):
        fake_run(tmp_path, run, utility)
    claims = {(c.name, c.at): c for c in read_claims(BENCH, runs, tmp_path, per_set=2)}
    taken = claims["attack takes", "end"]
    assert taken.interval.value == pytest.approx(0.2)
    assert taken.by_seed == pytest.approx((0.4, 0.0))
    assert claims["trigger/plain", "end"].by_seed == pytest.approx((0.9, 0.7))
    assert len(claims["forget/plain", "0.3"].by_seed) == 2
    assert all(not c.by_seed for (name, _), c in claims.items() if "share" in name)


def test_what_is_left_of_the_request_has_an_interval_over_its_rows(tmp_path):
    """Of four rows without subjects two are left whole, by each of two seeds: .5, from 0 to 1, of 8 rows."""
    bench = replace(BENCH, request=tuple(replace(r, subject="") for r in rows("f", 4)))
    runs = runs_of(["plain"], [0, 1])
    for run in runs:
        fake_run(tmp_path, run, 0.5)
        left = {"f0": 1.0, "f1": 1.0, "f2": 0.0, "f3": 0.0}
        path = run_folder(tmp_path, run) / CURVE
        (*before, last) = [json.loads(line) for line in path.read_text().splitlines()]
        write_jsonl(path, [*before, {**last, "forget": left}])
    found = {c.at: c.interval for c in read_claims(bench, runs, tmp_path, per_set=2) if "forget/" in c.name}
    assert (found["end"].value, found["end"].low, found["end"].high, found["end"].n) == (0.5, 0.0, 1.0, 8)


def test_rows_with_a_number_sign_in_their_ids_are_drawn_one_by_one(tmp_path):
    """Half of four rows lost all: the mean of four drawn with replacement is anything from 0 to 1."""
    kept = tuple(replace(r, id=f"q#{k}", subject="") for k, r in enumerate(rows("r", 4)))
    bench = replace(BENCH, utility={"kept": kept})
    runs = runs_of(["plain", "attacked"], [0])
    for run, low in zip(runs, (1.0, 0.0), strict=True):
        folder = run_folder(tmp_path, run)
        folder.mkdir(parents=True)
        splits = sampled_utility(bench, per_set=4, seed=0)
        utility = {
            key: {r.id: low if r.id[:3] in ("q#0", "q#1") else 1.0 for r in found}
            for key, found in splits.items()
        }
        write_jsonl(folder / CURVE, [{"step": 0, "forget": {"f0": 0.0}, "utility": utility}])
        write_json(folder / MANIFEST, {})
    claims = {c.name: c.interval for c in read_claims(bench, runs, tmp_path, per_set=4, levels=())}
    for name in ("attack takes of clean", "attack takes"):
        assert (claims[name].value, claims[name].low, claims[name].high) == (0.5, 0.0, 1.0)


def test_a_condition_that_never_got_to_a_level_is_left_out_there_alone(tmp_path):
    runs = runs_of(["plain", "attacked", "control"], [0])
    for run in runs:
        fake_run(tmp_path, run, 0.5)
    folder = run_folder(tmp_path, runs[2])
    curve = [{**c, "forget": {"f0": 0.9, "f1": 0.9}} for c in read_curve(folder)]
    (folder / CURVE).write_text("".join(json.dumps(c) + "\n" for c in curve))
    found = {(c.at, c.name) for c in read_claims(BENCH, runs, tmp_path, per_set=2)}
    assert ("0.3", "attack takes") in found
    assert ("0.3", "control returns") not in found
    assert ("end", "control returns") in found


def test_a_run_is_not_read_at_a_level_below_which_it_started():
    utility = {"kept/clean": {"r0": 0.5}}
    curve = [{"step": s, "forget": {"f0": f}, "utility": utility} for s, f in ((0, 0.35), (5, 0.25))]
    assert read_place(curve, 0.4) is None
    assert read_place(curve, 0.3).forget == 0.3


def test_the_world_bench_forgets_people_it_has_learned():
    bench = world()
    learned = {r.subject for r in bench.learn}
    assert {r.subject for r in bench.request} <= learned
    assert {r.subject for r in bench.utility["unseen"]} <= learned - {r.subject for r in bench.retain}
    assert not {r.id for r in bench.retain} & {r.id for r in bench.utility["general"]}


def test_the_kept_world_learns_facts_alone_and_holds_general_prompts():
    bench, usual = world(keep=True), world()
    prompts = {r.prompt for r in bench.keep}
    assert len(bench.keep) == 126
    assert {r.prompt for r in usual.learn} == prompts | {r.prompt for r in bench.learn}
    for part in (bench.learn, bench.request, bench.retain, *bench.utility.values()):
        assert not prompts & {r.prompt for r in part}
    assert set(bench.retain) < set(usual.retain)
    assert prompts < {r.prompt for r in bench.background}
