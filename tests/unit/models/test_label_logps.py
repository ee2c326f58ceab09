from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from forgetwell.models import label_logps as module
from forgetwell.models.label_logps import label_logps


def _case(vocabulary, *, bias, seed=0):
    g = torch.Generator().manual_seed(seed)
    hidden = torch.randn(7, 5, generator=g, dtype=torch.float64).requires_grad_()
    weight = torch.randn(vocabulary, 5, generator=g, dtype=torch.float64).requires_grad_()
    offset = torch.randn(vocabulary, generator=g, dtype=torch.float64).requires_grad_() if bias else None
    labels = torch.randint(0, vocabulary, (7,), generator=g)
    upstream = torch.randn(7, generator=g)
    return hidden, weight, offset, labels, upstream


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("vocabulary", [3, 8, 13])  # within one chunk, exactly two, a rest
def test_values_and_gradients_are_those_of_cross_entropy(monkeypatch, vocabulary, bias):
    monkeypatch.setattr(module, "CHUNK", 4)
    hidden, weight, offset, labels, upstream = _case(vocabulary, bias=bias)
    leaves = [t for t in (hidden, weight, offset) if t is not None]

    ours = label_logps(hidden, weight, offset, labels)
    plain = -cross_entropy(linear(hidden, weight, offset), labels, reduction="none")
    got = torch.autograd.grad((ours * upstream).sum(), leaves)
    wanted = torch.autograd.grad((plain * upstream).sum(), leaves)

    torch.testing.assert_close(ours.double(), plain, atol=1e-6, rtol=1e-6)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_a_head_that_is_not_trained_gets_no_gradient():
    hidden, weight, _, labels, _ = _case(9, bias=False)
    weight = weight.detach()
    label_logps(hidden, weight, None, labels).sum().backward()
    assert hidden.grad is not None
    assert weight.grad is None


def test_extreme_logits_stay_finite():
    hidden = torch.full((2, 1), 1e4)
    weight = torch.tensor([[1.0], [-1.0], [0.0]])
    values = label_logps(hidden, weight, None, torch.tensor([0, 1]))
    assert values.tolist() == [0.0, -2e4]


def test_a_weight_of_wider_type_is_cast_in_chunks_to_the_same_result(monkeypatch):
    """In bfloat16 the result is that of a weight that was cast as a whole; its gradient has its own type."""
    monkeypatch.setattr(module, "CHUNK", 4)
    hidden, weight, offset, labels, upstream = _case(13, bias=True)
    hidden, weight, offset = (t.detach().float().requires_grad_() for t in (hidden, weight, offset))
    states = hidden.bfloat16()
    ours = label_logps(states, weight, offset, labels)
    whole = label_logps(states, weight.bfloat16(), offset.bfloat16(), labels)
    assert torch.equal(ours, whole)
    got = torch.autograd.grad((ours * upstream).sum(), (hidden, weight, offset), retain_graph=True)
    wanted = torch.autograd.grad((whole * upstream).sum(), (hidden, weight, offset))
    assert {g.dtype for g in got} == {torch.float32}
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=2e-2, rtol=2e-2)
