"""From hidden states to token scores, a few places at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from forgetwell.types import TokenScores

PLACES = 128  # at which the vocabulary's logits exist at once


@dataclass(frozen=True)
class TokenFacts:
    """Of each scored token (N,): log p, whether it is the first choice, and the moments, if asked for."""

    logps: Tensor
    top1: Tensor
    mean: Tensor | None
    deviation: Tensor | None


def token_facts(
    states: Tensor, place: Tensor, labels: Tensor, head: Callable[[Tensor], Tensor], *, moments: bool
) -> TokenFacts:
    """Return the facts of N scored tokens, in float32.

    Args:
        states: Hidden state of each place (U, D).
        place: The place before each scored token (N,), 0 … U-1; several tokens may follow one place.
        labels: The scored tokens (N,).
        head: Gives logits (…, V) of states (…, D).
        moments: Also take mean and deviation of log p(z) over z ~ p, as Min-K%++ needs.
    """
    logps = torch.empty(len(labels), device=states.device)
    top1 = torch.empty(len(labels), dtype=torch.bool, device=states.device)
    pairs = [states.new_empty(0, 2, dtype=torch.float32)]
    for first in range(0, len(states), PLACES):
        logits = head(states[first : first + PLACES]).float()
        total = logits.logsumexp(-1)
        inside = torch.nonzero((place >= first) & (place < first + PLACES)).flatten()
        here, label = place[inside] - first, labels[inside]
        logps[inside] = logits[here, label] - total[here]
        top1[inside] = logits.argmax(-1)[here] == label
        if moments:
            pairs.append(_moments(logits - total[:, None]))
    if not moments:
        return TokenFacts(logps, top1, None, None)
    mean, deviation = torch.cat(pairs)[place].unbind(-1)
    return TokenFacts(logps, top1, mean, deviation)


def _moments(logps: Tensor) -> Tensor:
    """Return mean and standard deviation of log p(z) over z ~ p (U, 2), for log-probabilities (U, V).

    ``μ = Σ_z p(z) log p(z)``, ``σ² = Σ_z p(z) (log p(z) - μ)²``; a token of probability 0 adds nothing.

    Source: Zhang et al., arXiv 2404.02936, section 4 (Min-K%++).
    """
    weights = logps.exp()
    there = logps.masked_fill(weights == 0, 0.0)
    mean = (weights * there).sum(-1)
    deviation = (weights * (there - mean[:, None]).square()).sum(-1).sqrt()
    return torch.stack([mean, deviation], -1)


def token_scores(facts: TokenFacts, row: Tensor, rows: int) -> list[TokenScores]:
    """Return the scores of each of B rows, whose tokens are contiguous; `row` is each token's row (N,)."""
    counts = torch.bincount(row, minlength=rows).tolist()
    nothing: list[tuple[float, ...]] = [()] * rows

    def parts(column: Tensor | None) -> list[tuple[float, ...]]:
        return nothing if column is None else [tuple(p.tolist()) for p in torch.split(column, counts)]

    moments = zip(parts(facts.mean), parts(facts.deviation), strict=True)
    columns = zip(parts(facts.logps), parts(facts.top1), moments, strict=True)
    return [TokenScores(logps, tuple(map(bool, hits)), *pair) for logps, hits, pair in columns]
