"""Acceptance properties of task-vector unlearning, on the tiny model."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.errors import InputError
from forgetwell.methods.finetune import Lora, finetune
from forgetwell.methods.registry import Training, apply_method
from forgetwell.methods.task_vector import negate
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks
from forgetwell.types import Request, Row

REQUEST = Request("r", tuple(Row(f"f{i}", f"Who is {i}?", f"Person {i * 13}") for i in range(4)))
CONFIG = TrainConfig(lr=1e-3, epochs=5, batch=4)


def weights(lm):
    return {k: v.detach().clone() for k, v in lm.module.named_parameters()}


def loss(lm):
    return -sum(sum(s.logps) / len(s.logps) for s in lm.score(REQUEST.rows)) / 4


def unlearned(alpha):
    lm = tiny_lm()
    apply_method(lm, REQUEST, (), Training(CONFIG, Hooks()), f"task_vector(alpha={alpha})")
    return lm


def test_zero_gives_the_start_bit_for_bit_and_minus_one_the_fitted_model():
    start = weights(tiny_lm())
    assert all(torch.equal(start[k], v) for k, v in weights(unlearned(0.0)).items())
    fitted = tiny_lm()
    finetune(fitted, REQUEST, (), Hooks(), objective="fit", config=CONFIG)
    for k, v in weights(unlearned(-1.0)).items():
        torch.testing.assert_close(v, weights(fitted)[k], atol=1e-6, rtol=1e-6)


def test_the_request_is_forgotten_more_the_larger_alpha_is():
    losses = [loss(unlearned(alpha)) for alpha in (0.0, 0.2, 0.5, 1.0)]
    assert losses == sorted(losses)
    assert losses[-1] > losses[0] + 0.1


def test_the_slope_at_zero_is_minus_gradient_times_vector():
    lm = tiny_lm()
    start = weights(lm)
    moved = tiny_lm()
    finetune(moved, REQUEST, (), Hooks(), objective="fit", config=CONFIG)
    vector = {k: v - start[k] for k, v in weights(moved).items()}
    encoded = [lm.codec.encode(r) for r in REQUEST.rows]

    def value(module_alpha):
        model = tiny_lm()
        model.module.load_state_dict(copy.deepcopy(moved.module.state_dict()))
        negate(model.module, start, module_alpha)
        with torch.no_grad():
            return float(-model.forward(encoded).token_logps.double().mean())

    (-lm.forward(encoded).token_logps.mean()).backward()
    slope = sum(
        float((p.grad * vector[k]).sum()) for k, p in lm.module.named_parameters() if p.grad is not None
    )
    measured = (value(0.01) - value(-0.01)) / 0.02
    assert measured == pytest.approx(-slope, rel=0.05)


def test_a_random_step_of_the_same_length_forgets_less():
    lm, start = tiny_lm(), weights(tiny_lm())
    ours = unlearned(1.0)
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, p in lm.module.named_parameters():
            noise = torch.randn(p.shape, generator=stream)
            p.add_(noise * (weights(ours)[name] - start[name]).norm() / noise.norm())
    assert loss(lm) < loss(ours)


def test_lora_negation_equals_that_of_the_merged_weights():
    base = tiny_lm()
    lm = finetune(
        tiny_lm(), REQUEST, (), Hooks(), objective="fit", config=CONFIG, lora=Lora(rank=2, alpha=4)
    ).lm
    merged = copy.deepcopy(lm.module.network).merge_and_unload()
    negate(merged, dict(base.module.network.named_parameters()), 2.0)
    with torch.no_grad():
        for name, p in lm.module.named_parameters():
            if "lora_B" in name:  # W - α B A is the merged adapter with B scaled by -α
                p.mul_(-2.0)
    direct = lm.module.network.merge_and_unload()
    for (name, a), (_, b) in zip(merged.named_parameters(), direct.named_parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5, msg=name)


def test_a_model_that_is_an_adapter_is_merged_first():
    def start():
        config = replace(CONFIG, epochs=1)
        lora = Lora(rank=2, alpha=4)
        return finetune(tiny_lm(), REQUEST, (), Hooks(), objective="fit", config=config, lora=lora).lm

    def ended(alpha):
        return apply_method(start(), REQUEST, (), Training(CONFIG, Hooks()), f"task_vector(alpha={alpha})").lm

    base = dict(start().module.network.merge_and_unload().named_parameters())
    assert all(torch.equal(base[k], v) for k, v in ended(0.0).module.network.named_parameters())
    assert loss(ended(1.0)) > loss(start()) + 0.1


def test_a_zero_vector_is_refused():
    with pytest.raises(InputError, match="zero"):
        negate(tiny_lm().module, weights(tiny_lm()), 1.0)
