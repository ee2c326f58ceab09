"""Lean norms and MLPs: the same values to the bit, the same gradients, less kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import transformers
from tests.tiny import tiny_lm, tiny_tokenizer
from tests.unit.models.test_families import COMMON, FAMILIES
from torch import nn

from forgetwell.data.encoding import Codec
from forgetwell.methods.finetune import Lora, with_lora
from forgetwell.models.hidden import casting_norms
from forgetwell.models.lean import lean_layers
from forgetwell.models.lm import wrap
from forgetwell.training.memory import kept_bytes
from forgetwell.types import Row

ROWS = tuple(Row(f"r{i}", f"Where is {i}?", f"At {i * 7919}") for i in range(6))


def loss_and_gradients(lm, *, lean):
    batch = lm.batch([lm.codec.encode(row) for row in ROWS])
    with lean_layers(lm.module.decoder, active=lean), casting_norms(lm.module.decoder, lm.compute):
        with lm.precision():
            loss = -lm.module(batch, False).mean()
        return loss.detach(), torch.autograd.grad(loss, list(lm.trainable()))


def count(lm):
    """Return how many modules of a model are swapped."""
    with lean_layers(lm.module.decoder):
        return sum("forward" in vars(m) for m in lm.module.modules())


def assert_same(lm, tolerance=1e-5):
    plain, wanted = loss_and_gradients(lm, lean=False)
    loss, got = loss_and_gradients(lm, lean=True)
    assert torch.equal(loss, plain)
    for a, b in zip(got, wanted, strict=True):
        assert float((a - b).norm()) <= tolerance * float(b.norm()) + 1e-7


@pytest.mark.parametrize(("compute", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.03)])
def test_a_llama_keeps_less_and_learns_the_same(compute, tolerance):
    lm = replace(tiny_lm(), compute=compute)
    layers = lm.module.network.config.num_hidden_layers
    assert count(lm) == 3 * layers  # two norms and an MLP each
    assert_same(lm, tolerance)
    rows = [lm.codec.encode(row) for row in ROWS]
    plain = kept_bytes(lm, rows, logits=False)
    with lean_layers(lm.module.decoder):
        lean = kept_bytes(lm, rows, logits=False)
    tokens, config = lm.batch(rows).ids.numel(), lm.module.network.config
    # of two norms two float32 tensors for one in the compute type, of an MLP two of its four tensors less
    wide = 2 * (8 - compute.itemsize) * config.hidden_size + 2 * compute.itemsize * config.intermediate_size
    assert plain - lean == layers * tokens * wide
    assert not any("forward" in vars(m) for m in lm.module.modules())


NORMS_AND_MLPS = {
    "Mistral": (6, {}), "Qwen2": (6, {}), "Qwen3": (10, {"head_dim": 16}),
    "Granite": (6, FAMILIES["Granite"]), "Olmo2": (10, {}), "Llama": (6, {"mlp_bias": True}),
    "Gemma2": (0, FAMILIES["Gemma2"]), "Phi3": (4, {"pad_token_id": 0}), "Cohere": (2, FAMILIES["Cohere"]),
    "GPTNeo": (0, FAMILIES["GPTNeo"]),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMS_AND_MLPS)
def test_families_learn_the_same(name):
    """Norms with 1 + w and other activations are left as they are; fused projections keep their MLP."""
    swapped, facts = NORMS_AND_MLPS[name]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**COMMON, **facts})
    lm = wrap(getattr(transformers, f"{name}ForCausalLM")(config), Codec(tiny_tokenizer(), 128), name, name)
    assert count(lm) == swapped
    assert_same(lm)


def test_adapters_and_frozen_layers_learn_the_same():
    lm = with_lora(tiny_lm(), Lora(rank=2), seed=0)
    for name, weight in lm.module.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)  # at 0 the first step moves nothing else
    assert_same(lm)
    partly = tiny_lm()
    for name, weight in partly.module.named_parameters():
        weight.requires_grad_("down_proj" not in name and "norm" not in name)
    assert_same(partly)


def test_a_gate_of_another_type_than_its_partner_is_left_to_torch():
    lm = tiny_lm()
    mlp = lm.module.decoder.plain.get_decoder().layers[0].mlp
    mlp.gate_proj.register_forward_hook(lambda module, inputs, output: output.double().to(torch.bfloat16))
    assert_same(lm)


def test_a_forward_that_somebody_else_put_there_stays():
    lm = tiny_lm()
    layer = lm.module.decoder.plain.get_decoder().layers[0]
    layer.mlp.forward = theirs = layer.mlp.forward
    assert count(lm) == 3 * lm.module.network.config.num_hidden_layers  # theirs among them, not ours
    assert layer.mlp.forward is theirs
    assert_same(lm)


def test_without_gradients_the_network_runs_as_it_is(monkeypatch):
    lm = tiny_lm()
    monkeypatch.setattr("forgetwell.models.lean._RmsNorm", None)
    with torch.no_grad(), lean_layers(lm.module.decoder):
        assert lm.score(ROWS)
