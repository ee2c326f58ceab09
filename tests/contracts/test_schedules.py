"""Every registered schedule of a weight, with any objective."""

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.errors import InputError
from forgetwell.objectives.algebra import parse_objective
from forgetwell.objectives.schedules import SCHEDULES
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import Hooks, train
from forgetwell.types import Row

FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(6))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(7))
DRAWS = Draws(FORGET, RETAIN, ("No idea.",), batch=4, seed=0)


def run(objective, **settings):
    lm, log = tiny_lm(), []
    config = TrainConfig(lr=1e-4, epochs=2, **settings)
    train(lm, parse_objective(objective), DRAWS, config, Hooks(log=log.append))
    return torch.cat([p.detach().flatten() for p in lm.module.parameters()]), log


@pytest.mark.parametrize("name", SCHEDULES.names())
class TestSchedule:
    def test_goes_from_start_to_end_and_stays(self, name):
        factor = SCHEDULES.get(name).function
        assert factor(1e-9, start=3.0, end=0.5, until=0.5) == pytest.approx(3)
        assert factor(0.25, start=3.0, end=0.5, until=0.5) == pytest.approx(1.75)
        assert [factor(p, start=3.0, end=0.5, until=0.5) for p in (0.5, 0.8, 1)] == pytest.approx([0.5] * 3)
        between = [factor(p / 100) for p in range(1, 101)]
        assert between == sorted(between)
        assert 0 < between[0] < between[-1] == 1

    @pytest.mark.parametrize("wrong", [{"until": 0.0}, {"until": 1.1}, {"start": -0.1}, {"end": -1.0}])
    def test_values_outside_their_range_are_refused(self, name, wrong):
        with pytest.raises(InputError, match=next(iter(wrong))):
            SCHEDULES.get(name).function(0.5, **wrong)

    @pytest.mark.parametrize("rule", ["plain", "surgery"])
    def test_composes_with_step_rules_and_accumulation(self, name, rule):
        objective = f"npo + gdr + 2*{name}(until=1)*su_kl"
        (one, log), (many, _) = (run(objective, step_rule=rule, accumulate=k) for k in (1, 2))
        torch.testing.assert_close(one, many, atol=2e-4, rtol=1e-3)
        moved = [r["weights"][f"2*{name}(until=1)*su_kl"] for r in log]
        assert moved == sorted(moved)
        assert moved[0] < moved[-1] == 2
