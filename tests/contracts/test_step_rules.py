"""Every registered step rule, with any objective."""

from dataclasses import replace

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.objectives.algebra import parse_objective
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import Hooks, train
from forgetwell.training.rules import STEP_RULES
from forgetwell.types import Row

FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(6))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(7))
DRAWS = Draws(FORGET, RETAIN, ("No idea.",), batch=4, seed=0)
# SGD-like smoothness is not to be had from AdamW's first steps, so few and small ones are compared.
CONFIG = TrainConfig(lr=1e-4, epochs=2)


def run(rule, objective="npo + gdr + 2*su", **settings):
    lm, log = tiny_lm(), []
    config = replace(CONFIG, step_rule=rule, **settings)
    train(lm, parse_objective(objective), DRAWS, config, Hooks(log=log.append))
    return torch.cat([p.detach().flatten() for p in lm.module.parameters()]), log


@pytest.mark.parametrize("name", STEP_RULES.names())
class TestStepRule:
    @pytest.mark.parametrize("objective", ["npo + gdr + 2*su", "ga", "gdr", "dpo + klr"])
    def test_trains_any_objective_with_finite_values(self, name, objective):
        weights, log = run(name, objective)
        assert torch.isfinite(weights).all()
        assert all(len(r["terms"]) == objective.count("+") + 1 for r in log)

    def test_same_seed_same_weights(self, name):
        assert torch.equal(run(name)[0], run(name)[0])

    @pytest.mark.parametrize("parts", [2, 4])
    def test_accumulation_does_not_change_the_result(self, name, parts):
        (one, log_one), (many, log_many) = run(name), run(name, accumulate=parts)
        torch.testing.assert_close(one, many, atol=2e-4, rtol=1e-3)
        assert [r["loss"] for r in log_one] == pytest.approx([r["loss"] for r in log_many], abs=1e-4)

    def test_reports_the_values_at_the_weights(self, name):
        (_, plain), (_, log) = run("plain"), run(name)
        assert log[0]["terms"] == pytest.approx(plain[0]["terms"], rel=1e-5)
