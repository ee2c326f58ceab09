"""Metrics that set right answers against wrong ones, by their probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from forgetwell.metrics.likelihood import mean_logp
from forgetwell.metrics.registry import row_metric
from forgetwell.types import Row, TokenScores

_LARGEST = 700.0  # exp of more overflows


@row_metric(
    better="none",
    meaning="How probable the right answer is among the right one and the wrong ones.",
    paper="2401.06121",
)
def normalized_prob(answer: TokenScores, wrong: tuple[TokenScores, ...]) -> float:
    """Share of the right answer's probability in that of all options; 0 … 1.

    ``p(y) / (p(y) + Σ_k p(wrong_k))``, each p normalized for its length: exp of the mean over tokens.

    Source: Maini et al. (TOFU), arXiv 2401.06121, section 2.2 (real authors and world facts).
    """
    true = mean_logp(answer)
    # As 1 / (1 + Σ exp(wrong - true)): no underflow where all are improbable.
    return 1.0 / (1.0 + sum(math.exp(min(mean_logp(w) - true, _LARGEST)) for w in wrong))


@row_metric(
    better="none",
    meaning="Whether wrong answers became as probable as a right one.",
    paper="2401.06121",
    range=(0.0, None),
)
def truth_ratio(
    paraphrase: tuple[TokenScores, ...],
    wrong: tuple[TokenScores, ...],
    *,
    variant: Literal["ratio", "closer_to_1", "true_better", "prob_mean"] = "true_better",
    average: Literal["geometric", "arithmetic"] = "geometric",
) -> float:
    """Probability of wrong answers against that of a right one in other words.

    ``R = mean_k p(wrong_k) / mean_j p(paraphrase_j)``, each p normalized for its length. `average` says how
    answers are averaged: ``geometric`` exp(mean log p), ``arithmetic`` mean p.

    Variants: ``ratio`` R itself (≥ 0); ``closer_to_1`` min(R, 1/R), for forget sets; ``true_better``
    max(0, 1 - R), for sets to keep; ``prob_mean`` 1 / (1 + R), the right answer's share (all 0 … 1).

    Source: arXiv 2401.06121, section 2.2. The geometric mean is that of TOFU's logs, its aggregation script
    and open-unlearning's tables; TOFU's own utility code takes the arithmetic mean. prob_mean is
    open-unlearning's (arXiv 2506.12618).
    """
    difference = _log_mean(wrong, average) - _log_mean(paraphrase, average)
    if variant == "closer_to_1":
        return math.exp(-abs(difference))
    ratio = math.exp(min(difference, _LARGEST))
    if variant == "prob_mean":
        return 1.0 / (1.0 + ratio)
    return ratio if variant == "ratio" else max(0.0, 1.0 - ratio)


@row_metric(
    better="none",
    meaning="Whether the model ranks the right option above all others.",
    paper="2406.10890",
)
def choice_accuracy(
    answer: TokenScores,
    wrong: tuple[TokenScores, ...],
    *,
    by: Literal["mean", "sum"] = "mean",
) -> float:
    """Multiple-choice accuracy: 1 where the right option is the most probable, else 0.

    Options are compared by their log-probability: ``mean`` over tokens (lm-evaluation-harness's acc_norm
    divides by bytes instead), or ``sum``, which favors short options (its acc). With m options tied at the
    top, one of them right, the value is 1/m, so that a model that can't tell them apart scores chance.

    Source: as MMLU is scored in Jin et al. (RWKU), arXiv 2406.10890, section 4; whole options are scored, not
    their letters.
    """
    right, *others = [_total(scores, by) for scores in (answer, *wrong)]
    return 0.0 if max(others) > right else 1.0 / (1 + others.count(right))


@row_metric(
    better="none",
    meaning="How probable the right options are together, among all options.",
    paper="2109.07958",
)
def mc2(
    answer: TokenScores, paraphrase: tuple[TokenScores, ...], wrong: tuple[TokenScores, ...], row: Row
) -> float:
    """Share of all right options' probability in that of all options, TruthfulQA's MC2; 0 … 1.

    ``Σ p(right) / (Σ p(right) + Σ p(wrong))``, each p that of the whole option: exp of the sum of its tokens'
    log-probabilities. Right are the answer and the row's paraphrases. (MC1, with one right option, is
    ``choice_accuracy(by=sum)``.)

    Source: Lin et al. (TruthfulQA), arXiv 2109.07958, MC2 of its repository.
    """
    # Without paraphrases of its own a row has its answer as one, which would count twice.
    others = [scores for text, scores in zip(row.paraphrases, paraphrase, strict=False) if text != row.answer]
    right, false = _log_sum([answer, *others]), _log_sum(wrong)
    return 1.0 / (1.0 + math.exp(min(false - right, _LARGEST)))


def _log_sum(options: Sequence[TokenScores]) -> float:
    """Return the logarithm of the summed probability of whole options."""
    logs = [sum(scores.logps) for scores in options]
    top = max(logs)  # taken out, so that improbable options don't all underflow
    return top + math.log(sum(math.exp(x - top) for x in logs))


def _total(scores: TokenScores, by: str) -> float:
    return mean_logp(scores) if by == "mean" else sum(scores.logps)


def _log_mean(answers: Sequence[TokenScores], average: str) -> float:
    """Return the logarithm of the mean probability of answers."""
    logs = [mean_logp(a) for a in answers]
    if average == "geometric":
        return sum(logs) / len(logs)
    top = max(logs)
    return top + math.log(sum(math.exp(x - top) for x in logs) / len(logs))
