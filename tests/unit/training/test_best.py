from dataclasses import replace

import pytest
import torch
from tests.unit.training.test_training import CONFIG, run, weights

from forgetwell.errors import InputError
from forgetwell.training.best import parse_best_rule
from forgetwell.training.loop import Hooks

EVERY = replace(CONFIG, probe_every=1)
RULE = parse_best_rule("utility.x if forget.x<=0.5")


def scripted(forget, utility):
    """Return a probe that says these values at steps 0, 1, 2, …"""
    return lambda lm, step: {"forget.x": forget[step], "utility.x": utility[step]}


def weights_at(step):
    seen = {}

    def probe(lm, at):
        seen[at] = weights(lm).clone()
        return {}

    run("npo + gdr", EVERY, hooks=Hooks(probe=probe))
    return seen[step]


def test_the_weights_of_the_best_probe_are_what_the_model_has():
    probe = scripted([1.0, 0.9, 0.5, 0.4, 0.3, 0.2, 0.1], [1.0, 0.9, 0.6, 0.8, 0.8, 0.7, 0.1])
    lm, _, summary = run("npo + gdr", EVERY, hooks=Hooks(probe=probe, keep_best=RULE))
    # steps 0 and 1 had not forgotten; of 3 and 4, which tie, the earlier
    assert (summary.steps, summary.kept) == (6, 3)
    assert torch.equal(weights(lm), weights_at(3))


def test_where_no_probe_meets_the_condition_the_last_weights_stay():
    probe = scripted([1.0] * 7, [1.0] * 7)
    lm, _, summary = run("npo + gdr", EVERY, hooks=Hooks(probe=probe, keep_best=RULE))
    assert summary.kept == 6
    assert torch.equal(weights(lm), weights_at(6))


def test_a_resumed_run_keeps_the_same_weights(tmp_path):
    probe = scripted([0.0] * 7, [1.0, 0.2, 0.9, 0.1, 0.3, 0.2, 0.1])
    hooks = Hooks(probe=probe, keep_best=RULE, checkpoint=tmp_path / "state.pt", key="k")
    config = replace(EVERY, checkpoint_every=3)

    def stop(done, steps):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("npo + gdr", config, hooks=replace(hooks, progress=stop))
    lm, _, summary = run("npo + gdr", config, hooks=hooks, resume=True)
    assert summary.kept == 2  # from before the interruption
    assert torch.equal(weights(lm), weights_at(2))


def test_forget_values_are_better_low():
    assert parse_best_rule("forget.x").value({"forget.x": 0.2}) == -0.2
    assert parse_best_rule(" utility.x ").value({"utility.x": 0.2}) == 0.2
    assert str(RULE) == "utility.x if forget.x<=0.5"


@pytest.mark.parametrize("text", ["", "a b", "x if", "x if y", "utility.x>=1"])
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(InputError, match="rule"):
        parse_best_rule(text)


def test_a_value_that_no_probe_has_is_named():
    with pytest.raises(InputError, match=r"utility\.y.*utility\.x"):
        parse_best_rule("utility.y").value({"utility.x": 1.0})
