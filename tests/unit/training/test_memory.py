from __future__ import annotations

import gc

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.methods.finetune import Lora, with_lora
from forgetwell.models.hidden import recomputing_layers
from forgetwell.training.memory import Memory, estimate_memory, kept_bytes, resident
from forgetwell.types import Row

ROWS = tuple(Row(f"r{i}", f"Where is the town of {i * 7919}?", f"By lake {i * 104729}") for i in range(24))


def encoded(lm):
    return [lm.codec.encode(row) for row in ROWS]


def test_the_line_through_two_small_forwards_meets_the_large_one():
    lm = tiny_lm()
    rows = encoded(lm)
    measured = kept_bytes(lm, rows, logits=False) / 1e9
    assert estimate_memory(lm, rows, logits=False).activations == pytest.approx(measured, rel=0.25)


def test_what_is_kept_by_hand():
    """A linear layer keeps its input, a square its argument; a parameter is no activation."""

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(8, 4, bias=False)

        def forward(self, batch, logits):
            return self.layer(batch).square()

    lm = tiny_lm()
    lm.module = Module()
    lm.batch = lambda rows: torch.ones(len(rows), 8)
    assert kept_bytes(lm, [None] * 3, logits=True) == 4 * (3 * 8 + 3 * 4)


def test_measuring_leaves_nothing_behind():
    """What a first forward allocates for good aside, a process is as large after more of them."""
    lm = tiny_lm()
    rows = encoded(lm)
    tensors = []
    for _ in range(2):
        kept_bytes(lm, rows, logits=False)
        gc.collect()
        tensors.append(sum(isinstance(x, torch.Tensor) for x in gc.get_objects()))
    assert tensors[0] == tensors[1]
    grown = [resident()]
    for _ in range(4):
        kept_bytes(lm, rows * 8, logits=False)
        grown.append(resident())
    assert grown[-1] - grown[1] < 2 * kept_bytes(lm, rows * 8, logits=False)


def test_logits_adapters_and_recomputing_change_it_as_they_should():
    lm = tiny_lm()
    rows = encoded(lm)
    plain = estimate_memory(lm, rows, logits=False)
    count = sum(p.numel() for p in lm.module.parameters())
    assert (plain.moments, plain.gradients) == pytest.approx((8e-9 * count, 4e-9 * count))
    with recomputing_layers(lm.module.decoder):
        assert kept_bytes(lm, rows, logits=False) < 0.7e9 * plain.activations
    adapted = with_lora(tiny_lm(), Lora(rank=2), seed=0)
    assert estimate_memory(adapted, rows, logits=False).gradients < 0.2 * plain.gradients


def test_the_peak_by_hand():
    assert Memory(1.0, 2.0, 1.0, 3.0, accumulates=False).peak == 6.0
    assert Memory(1.0, 2.0, 1.0, 0.5, accumulates=False).peak == 4.0
    assert Memory(1.0, 2.0, 1.0, 3.0, accumulates=True).peak == 7.0
