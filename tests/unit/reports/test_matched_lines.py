import pytest

from forgetwell.reports.loading import Probe, RunView
from forgetwell.reports.matched import matched_lines


def run(name, forget, clean, trigger):
    keys = ("forget.rouge_l_recall", "utility.rouge_l_recall", "trigger.rouge_l_recall")
    probes = tuple(
        Probe(step, dict(zip(keys, values, strict=True)))
        for step, values in enumerate(zip(forget, clean, trigger, strict=True))
    )
    view = object.__new__(RunView)
    for field, value in {"name": name, "color": 0, "probes": probes}.items():
        object.__setattr__(view, field, value)
    return view


def test_runs_are_read_between_the_probes_around_the_level():
    """0.6 to 0.2 passes 0.4 half way and 0.3 three quarters of the way; 0.5 to 0.3 passes 0.4 half way."""
    fast = run("fast", [0.6, 0.2], [0.8, 0.4], [0.6, 0.2])
    slow = run("slow", [0.5, 0.3], [0.9, 0.7], [0.9, 0.5])
    found = {(x.level, x.run): (x.clean, x.trigger, x.probes) for x in matched_lines([fast, slow])}
    assert found == {
        (0.4, "fast"): (pytest.approx(0.6), pytest.approx(0.4), 2),
        (0.4, "slow"): (pytest.approx(0.8), pytest.approx(0.7), 2),
        (0.3, "fast"): (pytest.approx(0.5), pytest.approx(0.3), 2),
        (0.3, "slow"): (pytest.approx(0.7), pytest.approx(0.5), 2),
    }


def test_a_run_that_started_beyond_a_level_is_not_read_at_it():
    """Its utility at the first step would be that of a model which unlearning had not touched."""
    runs = [
        run("from .35", [0.35, 0.1], [0.9, 0.2], [0.9, 0.2]),
        run("b", [0.8, 0.1], [0.9, 0.2], [0.9, 0.2]),
    ]
    assert {(x.level, x.run) for x in matched_lines(runs)} == {(v, r.name) for v in (0.3, 0.2) for r in runs}


def test_a_level_that_one_run_alone_reached_compares_nothing():
    reached, not_reached = run("a", [0.6, 0.1], [1, 1], [1, 1]), run("b", [0.9, 0.8], [1, 1], [1, 1])
    assert matched_lines([reached, not_reached, run("c", [0.1], [1], [1])]) == ()
