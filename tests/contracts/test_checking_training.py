"""Each kind of fault of what training is made of is seen: step rules, schedules, views."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from tests.contracts.test_checking import problems

from forgetwell.objectives.schedules import SCHEDULES, schedule
from forgetwell.training.rules import STEP_RULES, step_rule
from forgetwell.training.views import VIEWS, view

pytestmark = pytest.mark.usefixtures("families")


def ruled(step):
    def mine(descent):
        """A rule."""
        return step(descent)

    step_rule(paper="")(mine)
    return STEP_RULES.get("mine")


def moved(descent):
    values = descent.everything()
    with torch.no_grad():
        descent.parameters[0].add_(1)
    return values


def uphill(descent):
    values = descent.everything()
    for parameter in descent.parameters:
        parameter.grad.neg_()
    return values


def infinite(descent):
    values = descent.everything()
    descent.parameters[1].grad.div_(0)
    return values


@pytest.mark.parametrize(
    ("step", "contracts"),
    [
        (lambda d: d.everything(), {}),
        (
            lambda d: None,
            {
                "It leaves a finite": "left no gradient",
                "Where the terms": "left \\[0.0, 0.0\\]",
                "It returns": "None",
            },
        ),
        # Where both sides are as they start, f = 1 + 4, k = 4 + 1 and gradients (2, 4) and (4, 2).
        (
            uphill,
            {"Where the terms": "gradient is \\[6.0, 6.0\\], and it left \\[-6.0, -6.0\\]"},
        ),
        (infinite, {"It leaves a finite": "left \\[6.0, inf\\]"}),
        (moved, {"The parameters come back": "were \\(1.0, 2.0\\) and are \\(2.0, 2.0\\)"}),
        (
            lambda d: {k: 2 * v for k, v in d.everything().items()},
            {"It returns": "{'forget': 10.0, 'keep': 10.0}, not {'forget': 5.0, 'keep': 5.0}"},
        ),
        (lambda d: d.forget() | d.keep(), {"": "raised TypeError"}),  # either side may be missing
    ],
)
def test_faults_of_step_rules_are_seen(step, contracts):
    found = problems(ruled(step))
    for start, problem in contracts.items():
        assert any(name.startswith(start) and re.search(problem, text) for name, text in found.items())
    assert len(found) == (5 if "" in contracts else len(contracts))


def scheduled(factor):
    def mine(progress):
        """A schedule."""
        return factor(progress)

    schedule(mine)
    return SCHEDULES.get("mine")


def test_faults_of_schedules_are_seen():
    assert problems(scheduled(lambda progress: 1 - progress)) == {}
    (problem,) = problems(scheduled(lambda progress: 0.5 - progress)).values()
    assert problem == "Its range is 0.0 to None, and it returned -0.010000000000000009 at progress 0.51."
    (problem,) = problems(scheduled(lambda progress: 0.0)).values()
    assert problem == "All are 0."
    calls = iter(range(10_000))
    (problem,) = problems(scheduled(lambda progress: float(next(calls)))).values()
    assert "Two calls differ" in problem


def viewed(make):
    def mine(pair, codec):
        """A view."""
        return make(pair)

    view(mine)
    return VIEWS.get("mine")


def test_faults_of_views_are_seen():
    assert problems(viewed(lambda pair: pair.forget)) == {}
    assert all(
        "'x', which is no Row" in p or "AttributeError" in p for p in problems(viewed(lambda p: "x")).values()
    )
    (problem,) = problems(viewed(lambda pair: replace(pair.retain, id="new"))).values()
    assert problem == "Its id is 'new', those of the pair are 'f0' and 'r0'."
    (problem,) = problems(viewed(lambda pair: replace(pair.retain, answer=""))).values()
    assert "It raised InputError: Row 'r0' has an empty answer" in problem
    calls = iter(range(100))
    (problem,) = problems(viewed(lambda pair: replace(pair.retain, prompt=f"{next(calls)}?"))).values()
    assert "Two calls differ" in problem
