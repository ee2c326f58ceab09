"""In bfloat16 norms are cast once: the same loss to the bit, gradients but for rounding."""

from __future__ import annotations

from dataclasses import replace

import torch
from tests.tiny import tiny_lm

from forgetwell.models.hidden import casting_norms
from forgetwell.types import Row

ROWS = tuple(Row(f"r{i}", f"Where is {i}?", f"At {i * 7919}") for i in range(6))


def loss_and_gradient(lm):
    batch = lm.batch([lm.codec.encode(row) for row in ROWS])
    with lm.precision():
        loss = -lm.module(batch, False).mean()
    return loss.detach(), torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(lm.trainable()))])


def test_bfloat16_is_equivalent_and_hooks_are_gone_afterwards():
    lm = replace(tiny_lm(), compute=torch.bfloat16)
    plain, wanted = loss_and_gradient(lm)
    with casting_norms(lm.module.decoder, lm.compute):
        layer = lm.module.decoder.plain.get_decoder().layers[0]
        assert layer.input_layernorm(torch.ones(1, 64)).dtype is torch.bfloat16
        once, got = loss_and_gradient(lm)
    assert torch.equal(once, plain)
    assert torch.cosine_similarity(got, wanted, dim=0) > 0.9999
    assert layer.input_layernorm(torch.ones(1, 64)).dtype is torch.float32


def test_float32_is_left_alone():
    lm = tiny_lm()
    with casting_norms(lm.module.decoder, lm.compute):
        assert not any(m._forward_hooks for m in lm.module.modules())
