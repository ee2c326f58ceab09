from dataclasses import replace

import pytest
from tests.toy import BENCH, rows

from forgetwell.experiments.bench import sampled_utility
from forgetwell.experiments.claims import Run, Setup, run_folder
from forgetwell.experiments.page import PAGE, main_place, write_page
from forgetwell.experiments.plan import Comparison, Plan
from forgetwell.experiments.reading import Claim
from forgetwell.experiments.tables import write_tables
from forgetwell.files import write_json, write_jsonl
from forgetwell.metrics.statistics import Interval
from forgetwell.runs.folder import CURVE, MANIFEST

SETUP = Setup(per_set=2)
BENCHES = {"toy": replace(BENCH, utility={"kept": rows("r", 6), "other": rows("o", 6)})}
OBJECTIVES = {"plain": "", "attacked": "stealthy", "defended": "stealthy", "control": "stealthy"}


def plan_of(*names, about="What it shows."):
    runs = tuple(Run(c, s, attack, "npo + gdr") for s in (0, 1) for c, attack in OBJECTIVES.items())
    comparisons = tuple(Comparison(name, "toy", "tiny", SETUP, runs) for name in names)
    return Plan("toy", about, 0.0, comparisons)


def make_run(out, run, trigger, *, ends=0.1):
    """Forget recall falls evenly from 1 to `ends`, utility stands."""
    splits = sampled_utility(BENCHES["toy"], per_set=2, seed=run.seed)
    utility = {k: {r.id: trigger if k.endswith("trigger") else 0.9 for r in v} for k, v in splits.items()}
    forgets = [1 - (1 - ends) * k / 4 for k in range(5)]
    folder = run_folder(out, run)
    write_jsonl(
        folder / CURVE,
        [{"step": 5 * k, "forget": {"f0": f}, "utility": utility} for k, f in enumerate(forgets)],
    )
    write_json(folder / MANIFEST, {})


@pytest.fixture
def made(tmp_path):
    def make(plan, values, **options):
        for comparison in plan.comparisons:
            for run in comparison.runs:
                if run.condition in values:
                    make_run(tmp_path / comparison.name, run, values[run.condition], **options)
        write_page(plan, write_tables(plan, BENCHES, tmp_path), tmp_path)
        return (tmp_path / PAGE).read_text()

    return make


ALL = {"plain": 0.8, "attacked": 0.4, "defended": 0.7, "control": 0.5}


def test_the_page_says_what_the_claims_say(made):
    page = made(plan_of("loss=npo"), ALL)
    assert "8 of 8 runs are done" in page
    assert "Read where forget recall first passes 0.2; seeds 0, 1" in page
    assert "The attack takes 50 % [50, 50] of trigger utility." in page
    assert "Clean questions don&#39;t show it: 0.00" in page
    assert "su returns +0.30 [0.30, 0.30] of trigger utility, +0.20 [0.20, 0.20] beyond the control." in page
    assert page.count("<h2>") == 1
    assert "Forgetting against utility" not in page  # all have forgotten equally much there
    assert "attack stealthy; npo + gdr" in page


def test_runs_that_did_not_forget_alike_are_read_at_the_end(made):
    page = made(plan_of("loss=npo", "loss=ga"), ALL, ends=0.5)
    assert page.count("Read after the last step") == 2
    assert page.count("<h3>Forgetting against utility") == 2
    assert 'href="#c2"' in page


def test_runs_that_forgot_less_are_no_fair_comparison_and_the_page_says_so(made, tmp_path):
    plan = plan_of("loss=npo")
    assert "did not forget equally" not in made(plan, ALL, ends=0.5)
    for run in plan.comparisons[0].runs:
        if run.condition == "control":
            make_run(tmp_path / "loss=npo", run, 0.5, ends=0.7)
    write_page(plan, write_tables(plan, BENCHES, tmp_path), tmp_path)
    assert "did not forget equally much: 0.50 to 0.70 of forget recall" in (tmp_path / PAGE).read_text()


def test_rows_are_counted_of_the_seeds_that_are_read(made, tmp_path):
    plan = plan_of("loss=npo")
    made(plan, ALL, ends=0.5)
    (tmp_path / "loss=npo" / "control-1" / MANIFEST).unlink()
    write_page(plan, write_tables(plan, BENCHES, tmp_path), tmp_path)
    page = (tmp_path / PAGE).read_text()
    assert "Read after the last step; seed 0." in page
    assert "n 2<" not in page  # one forget row of one seed


def test_a_plan_under_way_has_means_and_says_so(made):
    page = made(plan_of("loss=npo"), {"plain": 0.8})
    assert "2 of 8 runs are done" in page
    assert "0.80" in page
    page = made(plan_of("loss=ga"), {})
    assert "No run is finished yet" in page


def test_text_of_a_plan_is_escaped(made):
    page = made(plan_of("loss=<b>x</b>", about="<script>alert(1)</script>"), ALL)
    assert "<script>" not in page
    assert "<b>x" not in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize(
    ("read", "place"),
    [
        ({"0.4": "ab", "0.3": "ab", "end": "ab"}, "0.3"),
        ({"0.4": "ab", "0.3": "a", "end": "ab"}, "0.4"),
        ({"0.3": "a", "end": "ab"}, "end"),
        ({"0.3": "ab"}, "0.3"),
        ({}, "end"),
    ],
)
def test_the_main_place_is_the_lowest_that_all_reached(read, place):
    found = [
        Claim(at, f"trigger/{condition}", Interval(0.5, 0.4, 0.6, 4), (0,))
        for at, conditions in read.items()
        for condition in conditions
    ]
    assert main_place(found) == place
