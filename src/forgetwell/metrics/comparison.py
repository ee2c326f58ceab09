"""Whether two models differ beyond chance on the same rows, and how many such findings to believe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forgetwell.errors import InputError
from forgetwell.metrics.statistics import Floats, Sample

EXACT = 12  # up to so many clusters every pattern of signs is tried
_CHUNK = 1 << 22  # signs held at once
_SLACK = 1e-9  # sums that differ by rounding count as equal


def sign_flip_test(samples: Sequence[Sample], *, seed: int = 0, draws: int = 9_999) -> float:
    """Return the two-sided p-value of paired differences under "neither model is better"; 0 < p ≤ 1.

    The statistic is the mean of the sets' mean differences. If the models are exchangeable, the differences
    of a whole cluster (subject) could as well have the other sign, so the statistic is compared with those
    of flipped signs: all 2^K of them for at most 12 clusters, else ``(1 + #{as extreme}) / (1 + draws)`` of
    random ones. With one cluster in all, rows change sign instead.

    Args:
        samples: Differences a - b of one set each, with the cluster of each row.
        seed: Of the random signs.
        draws: Random sign patterns.

    Raises:
        InputError: There are no differences.

    Source: Good, Permutation, Parametric, and Bootstrap Tests of Hypotheses, 2005, section 3; the random
    version with the observed pattern counted in: Phipson and Smyth, 2010.
    """
    parts = _contributions(samples)
    observed = abs(parts.sum()) - _SLACK * (1 + np.abs(parts).sum())
    parts = parts[parts != 0]  # a cluster without a difference looks the same with either sign
    if not len(parts):
        return 1.0
    if len(parts) <= EXACT:
        patterns = np.array(np.meshgrid(*[[-1.0, 1.0]] * len(parts))).reshape(len(parts), -1)
        return float(np.mean(np.abs(parts @ patterns) >= observed))
    stream, extreme, left = np.random.default_rng(seed), 0, draws
    while left:
        size = min(left, max(1, _CHUNK // len(parts)))
        signs = 2.0 * stream.integers(0, 2, size=(size, len(parts)), dtype=np.int8) - 1
        extreme += int(np.sum(np.abs(signs @ parts) >= observed))
        left -= size
    return (1 + extreme) / (1 + draws)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values in the order given; each at least its p, at most 1.

    ``q_(i) = min_{j ≥ i} min(1, m p_(j) / j)`` for sorted p. Calling those with q ≤ α significant, the
    expected share of false findings among them is at most α.

    Source: Benjamini and Hochberg, Journal of the Royal Statistical Society B 57, 1995.
    """
    from scipy.stats import false_discovery_control

    return [float(q) for q in false_discovery_control(p_values)] if len(p_values) else []


def _contributions(samples: Sequence[Sample]) -> Floats:
    """Return what each cluster adds to the mean of the sets' means."""
    if not samples or not all(len(s.values) for s in samples):
        raise InputError("A comparison needs at least one set, each with at least one row.")
    parts = [_sums(s, whole=len(samples) == 1) / (len(samples) * len(s.values)) for s in samples]
    joined: Floats = np.concatenate(parts)
    return joined


def _sums(sample: Sample, *, whole: bool) -> Floats:
    values = np.asarray(sample.values, dtype=np.float64)
    names, index = np.unique(np.asarray(sample.clusters, dtype=object).astype(str), return_inverse=True)
    if whole and len(names) == 1:
        return values
    return np.bincount(index, weights=values, minlength=len(names)).astype(np.float64)
