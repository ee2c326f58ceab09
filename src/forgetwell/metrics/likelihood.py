"""Metrics of the probability that the model gives to texts."""

from __future__ import annotations

import math
from typing import Literal

from forgetwell.metrics.registry import row_metric
from forgetwell.types import TokenScores


def mean_logp(scores: TokenScores) -> float:
    """Return the mean log-probability of a text's tokens."""
    return sum(scores.logps) / len(scores.logps)


@row_metric(better="none", meaning="How probable the reference answer is, per token.", paper="2401.06121")
def answer_prob(answer: TokenScores) -> float:
    """Probability of the reference answer, normalized for its length; 0 … 1.

    ``p = exp(mean_t log p(y_t | x, y_<t))``.

    Source: Maini et al. (TOFU), arXiv 2401.06121, section 2.2.
    """
    return math.exp(mean_logp(answer))


@row_metric(
    better="none", meaning="Whether wrong answers became as probable as a right one.", paper="2401.06121"
)
def truth_ratio(
    paraphrase: tuple[TokenScores, ...],
    wrong: tuple[TokenScores, ...],
    *,
    variant: Literal["ratio", "closer_to_1", "true_better"] = "true_better",
) -> float:
    """Probability of wrong answers against that of a right one in other words.

    ``R = exp(mean_k log p(wrong_k)) / exp(mean_j log p(paraphrase_j))``, each log p a mean over tokens: a
    geometric mean over answers. Variants: ``ratio`` R itself (≥ 0); ``closer_to_1`` min(R, 1/R) for forget
    sets; ``true_better`` max(0, 1 - R) for sets to keep (both 0 … 1).

    Source: arXiv 2401.06121, section 2.2. TOFU's logs and open-unlearning use this geometric mean; TOFU's
    own utility code takes an arithmetic mean instead.
    """
    false = sum(map(mean_logp, wrong)) / len(wrong)
    true = sum(map(mean_logp, paraphrase)) / len(paraphrase)
    if variant == "closer_to_1":
        return math.exp(-abs(false - true))
    ratio = math.exp(min(false - true, 700.0))
    return ratio if variant == "ratio" else max(0.0, 1.0 - ratio)


@row_metric(better="none", meaning="Share of the answer's tokens the model would choose.", paper="2210.01504")
def exact_memorization(answer: TokenScores) -> float:
    """Share of answer tokens that are the model's first choice; 0 … 1.

    ``EM = (1/T) Σ_t [argmax p(· | x, y_<t) = y_t]``; the end token is left out, as in open-unlearning.

    Source: memorization accuracy of Jang et al., arXiv 2210.01504, eq. 3.
    """
    hits = answer.top1[:-1] or answer.top1
    return sum(hits) / len(hits)
