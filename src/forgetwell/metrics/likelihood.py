"""Metrics of how well the model knows one answer, from its token scores."""

from __future__ import annotations

import math

from forgetwell.metrics.registry import row_metric
from forgetwell.types import Row, TokenScores

_LARGEST = 700.0  # exp of more overflows


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
    better="none",
    kept="low",
    meaning="How many tokens the model hesitates between, on average, at each token of the text.",
    paper="2407.06460",
    range=(1.0, None),
)
def perplexity(answer: TokenScores) -> float:
    """Inverse of the length-normalized probability of the reference text; ≥ 1.

    ``exp(-mean_t log p(y_t | x, y_<t))``, at most exp(700).

    Source: the standard measure of a language model, as in Shi et al. (MUSE), arXiv 2407.06460; it depends
    on the tokenizer, so only models with one tokenizer compare.
    """
    return math.exp(min(-mean_logp(answer), _LARGEST))


@row_metric(better="none", meaning="Share of the answer's tokens the model would choose.", paper="2210.01504")
def exact_memorization(answer: TokenScores, row: Row) -> float:
    """Share of answer tokens that are the model's first choice; 0 … 1.

    ``EM = (1/T) Σ_t [argmax p(· | x, y_<t) = y_t]``; the end token of a conversation is left out, as in
    open-unlearning. Plain text has none.

    Source: memorization accuracy of Jang et al., arXiv 2210.01504, eq. 3.
    """
    hits = _hits(answer, row)
    return sum(hits) / len(hits)


@row_metric(
    better="none",
    meaning="Share of the answer that comes out word for word once its beginning is given.",
    paper="2406.09179",
)
def extraction_strength(answer: TokenScores, row: Row) -> float:
    """Share of the answer that greedy decoding completes; 0 … 1, and 0 where nothing is completed.

    ``ES = 1 - k/T`` with k the fewest tokens after which every further token is the model's first choice;
    k = T where the last is not. The end token of a conversation is left out. (open-unlearning gives 1/T
    where nothing matches.)

    Source: Wang et al., arXiv 2406.09179, after Carlini et al.
    """
    hits = _hits(answer, row)
    extracted = next((n for n, hit in enumerate(reversed(hits)) if not hit), len(hits))
    return extracted / len(hits)


def _hits(answer: TokenScores, row: Row) -> tuple[bool, ...]:
    return answer.top1 if row.text else answer.top1[:-1] or answer.top1
