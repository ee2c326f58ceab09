"""Scores by which an attacker guesses that a text was trained on: low = it was."""

from __future__ import annotations

import zlib as compression

from forgetwell.metrics.likelihood import mean_logp
from forgetwell.metrics.registry import row_metric
from forgetwell.types import Row, TokenScores

_FLOOR = 1e-6  # smallest deviation that is divided by


@row_metric(
    better="none",
    kept="low",
    meaning="How surprised the model is by the text, per token.",
    paper="1709.01604",
    range=(0.0, None),
)
def loss(answer: TokenScores) -> float:
    """Mean negative log-probability of the text's tokens, in nats; ≥ 0.

    ``-(1/T) Σ_t log p(y_t | x, y_<t)``.

    Source: Yeom et al., arXiv 1709.01604, section 3; per token, as open-unlearning has it.
    """
    return max(0.0, -mean_logp(answer))


@row_metric(
    better="none",
    kept="low",
    meaning="Surprise at the text against how well it can be compressed.",
    paper="2012.07805",
    range=(0.0, None),
)
def zlib(answer: TokenScores, row: Row) -> float:
    """Loss divided by the bytes of the zlib-compressed text; ≥ 0.

    ``loss(y) / |zlib(y)|``: a text that is easy to guess anyway counts less.

    Source: Carlini et al., arXiv 2012.07805, section 5.2; the mean loss over zlib bytes, as open-unlearning
    has it.
    """
    return loss(answer) / len(compression.compress(row.answer.encode("utf-8", "surrogatepass")))


@row_metric(
    better="none",
    kept="low",
    meaning="Surprise at the tokens that surprise the model most.",
    paper="2310.16789",
    range=(0.0, None),
)
def min_k(answer: TokenScores, *, k: float = 0.4) -> float:
    """Min-K%: minus the mean of the lowest share k of the tokens' log-probabilities; ≥ 0.

    At least one token is taken, and otherwise ⌊k T⌋.

    Source: Shi et al., arXiv 2310.16789, eq. 1; k = 0.4 as in open-unlearning.
    """
    return max(0.0, -_lowest(answer.logps, k))


@row_metric(
    better="none",
    kept="low",
    meaning="Surprise at the most surprising tokens, against what the model expects of its own choices.",
    paper="2404.02936",
    range=(None, None),
    needs=("moments",),
)
def min_k_plus_plus(answer: TokenScores, *, k: float = 0.4) -> float | None:
    """Min-K%++: minus the mean of the lowest share k of the standardized log-probabilities.

    ``(log p(y_t) - μ_t) / σ_t`` with μ_t, σ_t mean and standard deviation of log p(z) over
    z ~ p(· | x, y_<t). None where the scores hold no moments.

    Source: Zhang et al., arXiv 2404.02936, eq. 3; k = 0.4 as in open-unlearning.
    """
    if not answer.mean:
        return None
    standard = zip(answer.logps, answer.mean, answer.deviation, strict=True)
    return -_lowest([(logp - mean) / max(sd, _FLOOR) for logp, mean, sd in standard], k)


@row_metric(
    better="none",
    kept="low",
    meaning="How far one step of training on the text would move the model.",
    paper="2402.17012",
    range=(0.0, None),
)
def gradient_norm(gradient: float) -> float:
    """Mean over parameter tensors of the 2-norm of the loss gradient; ≥ 0.

    ``(1/P) Σ_p ||∂ loss(y | x) / ∂ θ_p||_2``.

    Source: Wang et al., arXiv 2402.17012; the mean of per-tensor norms, as open-unlearning has it.
    """
    return gradient


def _lowest(values: tuple[float, ...] | list[float], share: float) -> float:
    """Return the mean of the lowest share of values, at least one."""
    chosen = sorted(values)[: max(1, int(share * len(values)))]
    return sum(chosen) / len(chosen)
