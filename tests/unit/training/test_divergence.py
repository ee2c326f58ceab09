"""Where a loss is not finite, the weights that gave it are no use, however finite they are."""

from dataclasses import replace

import pytest
import torch
from tests.tiny import tiny_lm
from tests.unit.training.test_training import CONFIG, run, weights

from forgetwell.errors import Diverged
from forgetwell.training import state as steps
from forgetwell.training.best import parse_best_rule
from forgetwell.training.loop import Hooks

CHECKED = replace(CONFIG, checkpoint_every=1)


def stop(done, step):
    if done == step:
        raise KeyboardInterrupt


def weights_of(step):
    """Return the weights after so many steps of a run that doesn't diverge."""
    lm = tiny_lm()
    with pytest.raises(KeyboardInterrupt):
        run("npo + gdr", lm=lm, hooks=Hooks(progress=lambda done, _: stop(done, step)))
    return weights(lm)


@pytest.fixture
def spoil(monkeypatch):
    """Let the step of a number move all weights to where the loss is not finite, though they are."""
    descend = steps.descend

    def after_step(number, value=1e38):
        def spoiled(state, slope):
            record = descend(state, slope)
            if slope.step + 1 == number:
                with torch.no_grad():
                    for parameter in state.parallel.lm.trainable():
                        parameter.fill_(value)
            return record

        monkeypatch.setattr("forgetwell.training.loop.descend", spoiled)

    return after_step


def test_the_first_step_changes_nothing():
    lm = tiny_lm()
    before = weights(lm).clone()
    with torch.no_grad():
        next(iter(lm.module.parameters()))[0, 0] = float("nan")
    with pytest.raises(ArithmeticError, match="learning rate"):
        run("npo + gdr", lm=lm)
    assert torch.equal(weights(lm)[1:], before[1:])


def test_where_nothing_earlier_is_kept_training_fails(spoil):
    spoil(2)
    with pytest.raises(Diverged, match=r"the weights of step 2 give no finite loss.*checkpoint_every"):
        run("npo + gdr")


@pytest.mark.parametrize("value", [1e38, float("nan")])
def test_it_goes_back_to_the_last_checkpoint_that_gave_a_finite_step(spoil, tmp_path, value):
    spoil(3, value)
    hooks = Hooks(checkpoint=tmp_path / "state.pt", key="k")
    lm, _, summary = run("npo + gdr", CHECKED, hooks=hooks)
    assert (summary.steps, summary.kept, summary.diverged) == (3, 2, True)
    assert summary.stopped == "diverged after step 3; the weights of step 2 were kept"
    assert torch.equal(weights(lm), weights_of(2))
    assert torch.load(tmp_path / "state.pt")["step"] == 2  # that of step 3 was never written


def test_a_resumed_run_diverges_again_and_goes_back_as_far(spoil, tmp_path):
    spoil(3)
    hooks = Hooks(checkpoint=tmp_path / "state.pt", key="k")
    run("npo + gdr", CHECKED, hooks=hooks)
    lm, _, summary = run("npo + gdr", CHECKED, hooks=hooks, resume=True)
    assert (summary.steps, summary.kept, summary.diverged) == (3, 2, True)
    assert torch.equal(weights(lm), weights_of(2))


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_weights_that_are_no_numbers_after_the_last_step_are_not_the_result(spoil, tmp_path, value):
    spoil(6, value)
    with pytest.raises(Diverged, match="the weights of step 6"):
        run("npo + gdr")
    lm, _, summary = run("npo + gdr", CHECKED, hooks=Hooks(checkpoint=tmp_path / "state.pt", key="k"))
    assert (summary.steps, summary.kept, summary.diverged) == (6, 5, True)
    assert torch.equal(weights(lm), weights_of(5))


def probed(utility):
    probe = {"probe": lambda lm, step: {"utility.x": utility[step]}}
    return replace(CONFIG, probe_every=1), Hooks(**probe, keep_best=parse_best_rule("utility.x"))


def test_it_goes_back_to_the_best_probe(spoil):
    spoil(3)
    config, hooks = probed([1.0, 0.5, 0.4, 0.3])
    lm, _, summary = run("npo + gdr", config, hooks=hooks)
    assert (summary.steps, summary.kept, summary.diverged, summary.met) == (3, 1, True, True)
    assert torch.equal(weights(lm), weights_of(1))


def test_a_best_probe_of_the_weights_that_gave_no_finite_loss_is_none(spoil, tmp_path):
    spoil(3)
    config, hooks = probed([1.0, 0.5, 0.4, 0.6])
    with pytest.raises(Diverged, match="the weights of step 3"):
        run("npo + gdr", config, hooks=hooks)
    hooks = replace(hooks, checkpoint=tmp_path / "state.pt", key="k")
    lm, _, summary = run("npo + gdr", replace(config, checkpoint_every=2), hooks=hooks)
    assert (summary.kept, summary.diverged, summary.met) == (2, True, False)
    assert summary.probe == {"utility.x": 0.6}  # what was measured last
    assert torch.equal(weights(lm), weights_of(2))
