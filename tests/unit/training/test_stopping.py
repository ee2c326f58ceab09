from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.training.test_training import CONFIG, run, weights

from forgetwell.errors import InputError
from forgetwell.training.loop import Hooks
from forgetwell.training.stopping import Probing, parse_stop_rule

RULE = parse_stop_rule("forget.x<=0.3")


def probed(values, every, rule=RULE):
    """Return the steps at which a run with these values, one a step from 0, is measured."""
    probing, steps, last = Probing(every, rule), [], len(values) - 1
    for step, value in enumerate(values):
        if step and not probing.due(step, last):
            continue
        steps.append(step)
        if probing.measured(step, {"forget.x": value}) and step:
            break
    return steps


def test_probes_come_closer_where_the_pace_leads_to_the_level():
    # .9 at 5 and .5 at 10: .08 a step, so .3 after 2.5 more: look at 12, and then at each step
    falling = [1 - 0.02 * k for k in range(6)] + [0.9 - 0.08 * k for k in range(1, 11)]
    assert probed(falling, 5) == [0, 5, 10, 12, 13]
    assert probed(falling, 5, parse_stop_rule("forget.x<=0.29")) == [0, 5, 10, 12, 13]
    # a rising value with the rule the other way round
    assert probed([1 - v for v in falling], 5, parse_stop_rule("forget.x>=0.7")) == [0, 5, 10, 12, 13]


def test_flat_or_rising_values_and_no_rule_keep_the_regular_steps():
    assert probed([0.9] * 12, 5) == [0, 5, 10, 11]
    assert probed([0.5 + 0.01 * k for k in range(12)], 5) == [0, 5, 10, 11]
    assert probed([0.9 - 0.08 * k for k in range(11)], 5, rule=None) == [0, 5, 10]
    assert probed([0.9, 0.1, 0.1, 0.1], 0) == [0, 3]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.integers(1, 9))
def test_no_regular_probe_is_left_out(values, every):
    steps = probed(values, every)
    ended = steps[-1]
    assert set(range(0, ended + 1, every)) <= set(steps)
    assert values[ended] <= 0.3 or ended == len(values) - 1


@pytest.mark.parametrize(
    ("every", "probe"), [(1, None), (0, lambda lm, step: {"forget.x": 0.0})], ids=["no probe", "never asked"]
)
def test_a_rule_that_nothing_can_reach_is_refused(every, probe):
    config = replace(CONFIG, probe_every=every, stop_at="forget.x<=0.3")
    with pytest.raises(InputError, match="needs a probe"):
        run("npo + gdr", config, hooks=Hooks(probe=probe))


def test_a_resumed_run_probes_at_the_same_steps(tmp_path):
    values = [1.0, 0.98, 0.96, 0.7, 0.5, 0.31, 0.2]
    config = replace(CONFIG, probe_every=3, stop_at="forget.x<=0.3", checkpoint_every=2)

    def probe(seen):
        return lambda lm, step: seen.append(step) or {"forget.x": values[step]}

    whole, first, second = [], [], []
    run("npo + gdr", config, hooks=Hooks(probe=probe(whole)))
    assert whole == [0, 3, 6]

    steep = [1.0, 0.98, 0.96, 0.5, 0.31, 0.2, 0.1]
    values[:] = steep
    whole.clear()
    run("npo + gdr", config, hooks=Hooks(probe=probe(whole)))
    assert whole == [0, 3, 4, 5]

    def stop(done, steps):
        if done == 5:
            raise KeyboardInterrupt

    hooks = Hooks(probe=probe(first), checkpoint=tmp_path / "state.pt", key="k")
    with pytest.raises(KeyboardInterrupt):
        run("npo + gdr", config, hooks=replace(hooks, progress=stop))
    assert first == [0, 3, 4]
    run("npo + gdr", config, hooks=replace(hooks, probe=probe(second)), resume=True)
    assert second == [5]  # as the pace before the interruption says, not 6


def test_a_run_that_broke_off_when_it_had_stopped_is_not_trained_on(tmp_path):
    """The checkpoint is written at the step that reached the rule, the model after it."""

    def probe(lm, step):
        return {"forget.x": [1.0, 0.98, 0.9, 0.6, 0.2][step]}

    config = replace(CONFIG, probe_every=2, stop_at="forget.x<=0.3", checkpoint_every=2)
    hooks = Hooks(probe=probe, checkpoint=tmp_path / "state.pt", key="k")
    lm, _, summary = run("npo + gdr", config, hooks=hooks)
    resumed, _, again = run("npo + gdr", config, hooks=hooks, resume=True)
    assert (summary.steps, summary.stopped) == (4, "stop rule forget.x<=0.3 reached")
    assert (again.steps, again.stopped) == (4, summary.stopped)
    assert not summary.missed
    assert not again.missed
    assert torch.equal(weights(lm), weights(resumed))


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", 0), ("lr", float("nan")), ("epochs", 0), ("max_steps", -1), ("clip", -1.0),
     ("weight_decay", -0.1), ("probe_every", -1), ("checkpoint_every", -2), ("schedule", "cosine"),
     ("warmup", 1.5)],
)  # fmt: skip
def test_values_that_cannot_be_meant_are_refused(name, value):
    with pytest.raises(InputError, match=f"^{name} is "):
        replace(CONFIG, **{name: value})


def test_a_run_says_that_its_rule_was_not_reached_and_what_was_measured_last():
    config = replace(CONFIG, probe_every=2, stop_at="forget.x<=0.3", max_steps=3)
    hooks = Hooks(probe=lambda lm, step: {"forget.x": 1 - step / 10})
    _, _, summary = run("npo + gdr", config, hooks=hooks)
    assert summary.stopped == "finished: the stop rule forget.x<=0.3 was not reached"
    assert summary.missed
    assert summary.probe == {"forget.x": pytest.approx(0.7)}
