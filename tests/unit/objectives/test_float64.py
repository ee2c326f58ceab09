"""Each term of the paper against its formula, written out anew in float64 with numpy from full logits.

Three answers of 3, 1 and 2 tokens over 7 tokens; the starting model has logits of its own.
"""

import numpy as np
import pytest
import torch

from forgetwell.models.scored import scored_from_logits
from forgetwell.objectives.ascent import ga
from forgetwell.objectives.preference import dpo, npo, simnpo
from forgetwell.objectives.retain import fit, gdr, klr
from forgetwell.objectives.scope import su, su_mixed, su_parts
from forgetwell.objectives.targets import idk

LENGTHS = (3, 1, 2)
STREAM = np.random.default_rng(11)
# One array of logits (T, V) and one of labels (T,) an answer.
POLICY, START, OTHER, OTHER_START = ([STREAM.normal(0, 3, (n, 7)) for n in LENGTHS] for _ in range(4))
LABELS, OTHER_LABELS = ([STREAM.integers(0, 7, n) for n in LENGTHS] for _ in range(2))


def scored(logits, labels):
    row = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    joined = torch.tensor(np.concatenate(logits), dtype=torch.float32)
    return scored_from_logits(joined, torch.tensor(np.concatenate(labels)), row, len(LENGTHS))


def probabilities(logits):
    """Return p(v | x, y_<t) (T, V)."""
    weights = np.exp(logits)
    return weights / weights.sum(axis=1, keepdims=True)


def token_logps(logits, labels):
    """Return log p(y_t | x, y_<t) (T,)."""
    return np.array([np.log(p[y]) for p, y in zip(probabilities(logits), labels, strict=True)])


def likelihoods(answers, labels):
    """Return p(y | x) of each answer (B,), the product over its tokens."""
    return np.array([np.exp(token_logps(z, y)).prod() for z, y in zip(answers, labels, strict=True)])


def close(found, expected):
    assert found.tolist() == pytest.approx(np.asarray(expected).tolist(), rel=2e-5, abs=2e-6)


@pytest.mark.parametrize("beta", [0.1, 0.7, 2.0])
def test_npo(beta):
    """2/β log(1 + (π/π_ref)^β): arXiv 2404.05868, eq. 3."""
    ratio = likelihoods(POLICY, LABELS) / likelihoods(START, LABELS)
    close(npo(scored(POLICY, LABELS), scored(START, LABELS), beta=beta), 2 / beta * np.log(1 + ratio**beta))


@pytest.mark.parametrize(("beta", "gamma"), [(4.5, 0.0), (2.0, 1.5)])
def test_simnpo(beta, gamma):
    """2/β log(1 + e^γ π(y|x)^(β/|y|)): arXiv 2410.07163, eq. 4."""
    powers = likelihoods(POLICY, LABELS) ** (beta / np.array(LENGTHS))
    expected = 2 / beta * np.log(1 + np.exp(gamma) * powers)
    close(simnpo(scored(POLICY, LABELS), beta=beta, gamma=gamma), expected)


@pytest.mark.parametrize("beta", [0.1, 1.0])
def test_dpo(beta):
    """2/β log(1 + (ratio of the true answer / ratio of the refusal)^β): arXiv 2305.18290, eq. 7."""
    refusal = likelihoods(OTHER, OTHER_LABELS) / likelihoods(OTHER_START, OTHER_LABELS)
    true = likelihoods(POLICY, LABELS) / likelihoods(START, LABELS)
    views = [(OTHER, OTHER_LABELS), (OTHER_START, OTHER_LABELS), (POLICY, LABELS), (START, LABELS)]
    found = dpo(*(scored(*view) for view in views), beta=beta)
    close(found, 2 / beta * np.log(1 + (true / refusal) ** beta))


def test_ga_is_the_log_probability_of_each_token():
    """The paper is arXiv 2210.01504, eq. 1: the negative of language modeling's loss."""
    close(ga(scored(POLICY, LABELS)), np.concatenate(list(map(token_logps, POLICY, LABELS))))


@pytest.mark.parametrize("term", [gdr, fit, idk, su, su_parts, su_mixed])
def test_cross_entropies_are_the_negative_log_probability_of_each_token(term):
    """-Σ_v 1[v = y_t] log p(v): arXiv 2506.00359, eq. 1, table of objectives, and eq. 5."""
    expected = [
        -(np.eye(7)[y] * np.log(probabilities(z))).sum(axis=1) for z, y in zip(POLICY, LABELS, strict=True)
    ]
    close(term(scored(POLICY, LABELS)), np.concatenate(expected))


def test_klr():
    """Σ_v π_ref(v) log(π_ref(v) / π(v)): arXiv 2310.10683, section 4."""
    pairs = [(probabilities(a), probabilities(b)) for a, b in zip(START, POLICY, strict=True)]
    expected = np.concatenate([(p * np.log(p / q)).sum(axis=1) for p, q in pairs])
    close(klr(scored(POLICY, LABELS), scored(START, LABELS)), expected)
