"""Whether two models differ beyond chance on the same rows, and how many such findings to believe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from forgetwell.errors import InputError
from forgetwell.metrics.statistics import FEWEST, Floats, Sample

EXACT = 12  # up to so many clusters every pattern of signs is tried, …
DRAWS = 9_999  # … of more so many by lot
_CHUNK = 1 << 22  # signs held at once
_SLACK = 1e-9  # sums that differ by rounding count as equal


@dataclass(frozen=True, slots=True)
class Chance:
    """How probable a difference as large is by chance, and what was taken as one piece of evidence."""

    p: float
    by: Literal["subject", "question"]


def sign_flip_test(samples: Sequence[Sample], *, seed: int = 0, draws: int = DRAWS) -> Chance:
    """Return the two-sided p-value of paired differences under "neither model is better"; 0 < p ≤ 1.

    The statistic is the mean of the sets' mean differences. If the models are exchangeable, the differences
    of a whole cluster (subject) could as well have the other sign, so the statistic is compared with those
    of flipped signs: all 2^K of them for at most 12 clusters, else ``(1 + #{as extreme}) / (1 + draws)`` of
    random ones. With fewer than 6 clusters, which can't reach p = 0.05 whatever they show, the rows of one
    question change sign together: the test then speaks of other questions on the same subjects.

    Args:
        samples: Differences a - b of one set each, with the cluster of each row.
        seed: Of the random signs.
        draws: Random sign patterns.

    Raises:
        InputError: There are no differences.

    Source: Good, Permutation, Parametric, and Bootstrap Tests of Hypotheses, 2005, section 3; the random
    version with the observed pattern counted in: Phipson and Smyth, 2010.
    """
    if not samples or not all(len(s.values) for s in samples):
        raise InputError("A comparison needs at least one set, each with at least one row.")
    parts = np.concatenate([cluster_parts(s.values, s.clusters) for s in samples]) / len(samples)
    if len(parts) < FEWEST:
        questions = [cluster_parts(s.values, s.questions or range(len(s.values))) for s in samples]
        parts = np.concatenate(questions) / len(samples)
        return Chance(flipped_share(parts, sides=2, seed=seed, draws=draws), "question")
    return Chance(flipped_share(parts, sides=2, seed=seed, draws=draws), "subject")


def benjamini_hochberg(p_values: Sequence[float] | Floats, *, tests: int | None = None) -> Floats:
    """Return adjusted p-values in the order given; each at least its p, at most 1.

    ``q_(i) = min_{j ≥ i} min(1, m p_(j) / j)`` for sorted p. Calling those with q ≤ α significant, the
    expected share of false findings among them is at most α.

    Args:
        p_values: The p-values (F,).
        tests: Number m of tests made, where those not given had p-values no smaller; by default F.

    Source: Benjamini and Hochberg, Journal of the Royal Statistical Society B 57, 1995.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * (len(p) if tests is None else tests) / np.arange(1, len(p) + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def flipped_share(parts: Floats, *, sides: Literal[1, 2], seed: int = 0, draws: int = DRAWS) -> float:
    """Return the share of sign patterns whose sum (one-sided, or its size) is at least that of the parts.

    All 2^K patterns of at most 12 parts; else ``(1 + #{as large}) / (1 + draws)`` of random ones.
    """

    def size(sums: Floats) -> Floats:
        return np.abs(sums) if sides == 2 else sums

    observed = size(parts.sum()) - _SLACK * (1 + np.abs(parts).sum())
    parts = parts[parts != 0]  # without a difference both signs look the same
    if not len(parts):
        return 1.0
    if len(parts) <= EXACT:
        patterns = np.array(np.meshgrid(*[[-1.0, 1.0]] * len(parts))).reshape(len(parts), -1)
        return float(np.mean(size(parts @ patterns) >= observed))
    stream, extreme, left = np.random.default_rng(seed), 0, draws
    while left:
        count = min(left, max(1, _CHUNK // len(parts)))
        signs = 2.0 * stream.integers(0, 2, size=(count, len(parts)), dtype=np.int8) - 1
        extreme += int(np.sum(size(signs @ parts) >= observed))
        left -= count
    return (1 + extreme) / (1 + draws)


def cluster_parts(given: Sequence[float] | Floats, clusters: Sequence[object]) -> Floats:
    """Return what each cluster adds to the mean (K,)."""
    values = np.asarray(given, dtype=np.float64)
    names, index = np.unique(np.asarray(clusters, dtype=object).astype(str), return_inverse=True)
    parts: Floats = np.bincount(index, weights=values, minlength=len(names)) / len(values)
    return parts
