"""Each term against a case worked out by hand: two rows, of two and one tokens."""

import math

import pytest
import torch

from forgetwell.models.scored import Scored
from forgetwell.objectives.ascent import ga
from forgetwell.objectives.preference import dpo, npo, simnpo
from forgetwell.objectives.retain import fit, gdr, klr
from forgetwell.objectives.scope import su, su_mixed, su_parts
from forgetwell.objectives.targets import idk


def scored(*logps, logits=None):
    return Scored(2, torch.tensor([0, 0, 1]), torch.zeros(3, dtype=torch.long), logits, torch.tensor(logps))


POLICY, REF = scored(-1.0, -2.0, -0.5), scored(-0.5, -0.5, -1.5)


def test_cross_entropy_terms():
    assert ga(POLICY).tolist() == [-1.0, -2.0, -0.5]
    for term in (gdr, fit, idk, su, su_parts, su_mixed):
        assert term(POLICY).tolist() == [1.0, 2.0, 0.5]


def test_npo():
    # row sums: policy -3, -0.5; reference -1, -1.5; log-ratios -2, +1; β = 0.5: -4 log σ(1), -4 log σ(-0.5)
    expected = [4 * math.log(1 + math.exp(-1)), 4 * math.log(1 + math.exp(0.5))]
    assert npo(POLICY, REF, beta=0.5).tolist() == pytest.approx(expected)


def test_npo_tends_to_gradient_ascent_for_small_beta():
    leaf = torch.tensor([-1.0, -2.0, -0.5], requires_grad=True)
    policy = Scored(2, POLICY.row, POLICY.labels, None, leaf)
    (gradient,) = torch.autograd.grad(npo(policy, REF, beta=1e-4).sum(), leaf)
    torch.testing.assert_close(gradient, torch.ones(3), atol=1e-3, rtol=1e-3)


def test_simnpo():
    # means -1.5, -0.5; β = 2, γ = 1: -log σ(3 - 1), -log σ(1 - 1)
    expected = [math.log(1 + math.exp(-2)), math.log(2)]
    assert simnpo(POLICY, beta=2.0, gamma=1.0).tolist() == pytest.approx(expected)


def test_dpo():
    # refusal moved by -2, +1 (as above); forget by +1, 0; β = 1: -2 log σ(-3), -2 log σ(1)
    forget, forget_ref = scored(-1.0, -1.0, -1.0), scored(-2.0, -1.0, -1.0)
    expected = [2 * math.log(1 + math.exp(3)), 2 * math.log(1 + math.exp(-1))]
    assert dpo(POLICY, REF, forget, forget_ref, beta=1.0).tolist() == pytest.approx(expected)


def test_klr():
    # reference (1/2, 1/2), policy (1/4, 3/4): ½ log 2 + ½ log ⅔; equal distributions: 0
    half = torch.zeros(3, 2)
    policy = torch.log(torch.tensor([[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]]))
    values = klr(scored(0, 0, 0, logits=policy), scored(0, 0, 0, logits=half)).tolist()
    assert values == pytest.approx([0.5 * math.log(2) + 0.5 * math.log(2 / 3), 0, 0], abs=1e-6)
