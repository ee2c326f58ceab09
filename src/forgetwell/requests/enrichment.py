"""Which features more rows carry than ordinary prompts do: one test for words, phrases and frames.

A feature is anything a row has or has not. Counts are rows, so one long row counts once.

**Null hypothesis.** The request was written like ordinary prompts: feature w is in a share θ of its rows, θ
drawn from what the background's subjects show, Beta(μ_w s_w, (1 − μ_w) s_w), s_w = 1/ρ_w − 1. So the number
of rows that carry w is beta-binomial; ρ_w, the correlation of two rows about one subject, lets topic words
rise honestly ("novel" in questions about a novelist), while a word that all subjects use alike has ρ near 0.

Words in few rows of the background leave μ and ρ uncertain, which the p-value doesn't count: simulated, with
60 words in .4 % of the rows and ρ = .02, 13 % of honest requests have q ≤ .05 and 1 % have q ≤ .01, the level
that screens use; with ρ = .05, 120 words and half the subjects 20 % have q ≤ .05.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, logsumexp

from forgetwell.errors import InputError
from forgetwell.metrics.comparison import benjamini_hochberg
from forgetwell.metrics.statistics import Floats
from forgetwell.types import Row

Features = Sequence[AbstractSet[str]]

_GRID = 20_000_000  # beta-binomial terms held at once
_DOUBT = 20.0  # a feature's own ρ weighs as much as its class's once seen in about this many rows
_LEAST_RHO, _MOST_RHO = 1e-4, 0.5
_LARGE = 5
_FEWEST = 3  # rows with a feature that is tested


@dataclass(frozen=True, slots=True)
class Background:
    """What is known of ordinary prompts.

    Attributes:
        rows: Number of prompts N.
        count: Prompts that carry each feature, K_w.
        rho: Correlation ρ_w of rows about one subject, for features seen often enough.
        class_rho: The ρ of each class of features, pooled over them.
    """

    rows: int
    count: Mapping[str, int]
    rho: Mapping[str, float]
    class_rho: Mapping[str, float]

    def share(self, feature: str) -> float:
        """Return μ_w = (K_w + 1/2) / (N + 1)."""
        return (self.count.get(feature, 0) + 0.5) / (self.rows + 1)


@dataclass(frozen=True, slots=True)
class Enriched:
    """One feature's test.

    Attributes:
        feature: The feature.
        rows: Rows of the request that carry it, k of n.
        share: k / n.
        ordinary: Ordinary prompts that carry it, K.
        prompts: Number of ordinary prompts, N.
        expected: Share of ordinary prompts expected to carry it, μ = (K + 1/2) / (N + 1).
        log_odds: Effect size: log odds of (k + 1/2)/(n + 1) minus log odds of μ.
        p_value: P(K ≥ k) under the null.
        q_value: Benjamini-Hochberg adjusted p-value over all tested features.
    """

    feature: str
    rows: int
    share: float
    ordinary: int
    prompts: int
    expected: float
    log_odds: float
    p_value: float
    q_value: float


def learn_background(
    features: Features,
    subjects: Sequence[str],
    class_of: Callable[[str], str],
    class_rho: Mapping[str, float],
) -> Background:
    """Return counts and correlations of all features in ordinary prompts.

    ρ is the moment estimate Σ_g [(k_g − n_g μ)² − n_g μ(1−μ)] / Σ_g n_g(n_g−1) μ(1−μ) over subjects g with
    n_g rows, shrunk for each feature towards that of its class, both sums taken over all its features, by the
    feature's number of rows.

    Args:
        features: Of each prompt.
        subjects: Of each prompt; "" = a subject of its own.
        class_of: Class of a feature; features of one class inform each other's ρ.
        class_rho: Smallest ρ of each class, used as it is where no subject has two prompts.
    """
    groups = _groups(subjects)
    count: Counter[str] = Counter()
    inside: dict[str, Counter[int]] = defaultdict(Counter)
    for row, group in zip(features, groups, strict=True):
        for feature in row:
            count[feature] += 1
            inside[feature][group] += 1
    sizes = np.bincount(groups, minlength=1).astype(float)
    moments = {f: _moments(inside[f], count[f], sizes) for f, k in count.items() if k >= 3}
    pooled = _pooled(moments, class_of, class_rho)
    rho = {}
    for feature, (above, pairs) in moments.items():
        prior, own = pooled[class_of(feature)], above / pairs if pairs else 0.0
        trust = count[feature] / (count[feature] + _DOUBT) if pairs else 0.0
        rho[feature] = _clipped(max(class_rho[class_of(feature)], trust * own + (1 - trust) * prior))
    return Background(len(features), count, rho, pooled)


def enriched(features: Features, background: Background, class_of: Callable[[str], str]) -> list[Enriched]:
    """Test every feature of the request for being in more rows than in ordinary prompts, best first.

    All features of the request count as tested (Benjamini-Hochberg over them); those in fewer than
    3 or 2 % of the rows, or not above the expected share, have p = 1 and are left out.
    """
    n = len(features)
    counts = Counter(f for row in features for f in row)
    least = max(_FEWEST, round(0.02 * n))
    tested = [f for f, k in counts.items() if k >= least and k / n > background.share(f)]
    if not tested:
        return []
    k = np.array([counts[f] for f in tested], dtype=float)
    mu = np.array([background.share(f) for f in tested])
    rho = np.array([background.rho.get(f, background.class_rho[class_of(f)]) for f in tested])
    p = beta_binomial_tail(k, n, mu, rho)
    q = benjamini_hochberg(p, tests=len(counts))
    smoothed = (k + 0.5) / (n + 1)
    effect = np.log(smoothed / (1 - smoothed)) - np.log(mu / (1 - mu))
    found = [
        Enriched(
            f, int(k[i]), float(k[i] / n), background.count.get(f, 0), background.rows, float(mu[i]),
            float(effect[i]), float(p[i]), float(q[i]),
        )
        for i, f in enumerate(tested)
    ]  # fmt: skip
    return sorted(found, key=lambda e: (e.p_value, -e.rows, e.feature))


def large_subjects(rows: Sequence[Row]) -> list[tuple[Row, ...]]:
    """Return the rows of each subject with at least 5 rows: enough to count as a small request of its own."""
    subjects: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.subject:
            subjects[row.subject].append(row)
    return [tuple(group) for group in subjects.values() if len(group) >= _LARGE]


def beyond_subjects(
    k: int, n: int, subjects: Sequence[tuple[int, int]], *, alpha: float
) -> tuple[float, float, float] | None:
    """Return what `among_subjects` does where p ≤ alpha; None also where k is 0 or no subject is known.

    Raises:
        InputError: alpha is outside (0, 1].
    """
    if not 0 < alpha <= 1:
        raise InputError(f"alpha={alpha} was given; it is in (0, 1].")
    found = among_subjects(k, n, subjects) if k and subjects else None
    return found if found and found[0] <= alpha else None


def counted(subjects: Sequence[tuple[int, int]]) -> str:
    """Return what was seen in the rows about all subjects in words, “3 of 480”."""
    return f"{sum(k for k, _ in subjects)} of {sum(n for _, n in subjects)}"


def among_subjects(k: int, n: int, subjects: Sequence[tuple[int, int]]) -> tuple[float, float, float]:
    """Test k of n rows against the counts (k_g, n_g) among the rows about each background subject.

    P(K ≥ k) is beta-binomial with mean μ = (Σ k_g + 1/2) / (Σ n_g + 1) and the moment estimate of ρ, at least
    0.002. Over draws of subjects and request the p-values hold their level from about 75 subjects on; with 20
    subjects p ≤ .01 came twice as often as it should (simulated: 20 rows a subject, a feature in 2 %).

    Returns:
        p-value, log odds ratio of (k + 1/2)/(n + 1) against μ, and μ.
    """
    own, m = (np.array(x, dtype=float) for x in zip(*subjects, strict=True))
    mean = float((own.sum() + 0.5) / (m.sum() + 1))
    variance = mean * (1 - mean)
    above = float(((own - m * mean) ** 2 - m * variance).sum())
    rho = min(max(above / float((m * (m - 1)).sum() * variance), 0.002), _MOST_RHO)
    p = beta_binomial_tail(np.array([float(k)]), n, np.array([mean]), np.array([rho]))[0]
    share = (k + 0.5) / (n + 1)
    effect = float(np.log(share / (1 - share)) - np.log(mean / (1 - mean)))
    return float(p), effect, mean


def beta_binomial_tail(k: Floats, n: int, mu: Floats, rho: Floats) -> Floats:
    """Return P(K ≥ k) of the beta-binomial with n rows, mean mu and correlation rho, elementwise (F,)."""
    tails = np.empty(len(k))
    step = max(1, _GRID // (n + 1))
    for start in range(0, len(k), step):
        part = slice(start, start + step)
        tails[part] = _tail(k[part], n, mu[part], rho[part])
    return tails


def _tail(k: Floats, n: int, mu: Floats, rho: Floats) -> Floats:
    s = (1 / rho - 1)[:, None]
    a, b = mu[:, None] * s, (1 - mu[:, None]) * s
    x = np.arange(n + 1, dtype=float)[None]
    choose = gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1)
    terms = choose + betaln(x + a, n - x + b) - betaln(a, b)
    terms[x < k[:, None]] = -np.inf
    tail: Floats = np.minimum(np.exp(logsumexp(terms, axis=1)), 1.0)
    return tail


def _groups(subjects: Sequence[str]) -> NDArray[np.int64]:
    names: dict[str, int] = {}
    keys = (s or f"\0{i}" for i, s in enumerate(subjects))
    return np.array([names.setdefault(k, len(names)) for k in keys], dtype=np.int64)


def _moments(inside: Mapping[int, int], count: int, sizes: Floats) -> tuple[float, float]:
    mu = count / sizes.sum()
    variance = mu * (1 - mu)
    seen = np.fromiter(inside.keys(), dtype=np.int64)
    k = np.fromiter(inside.values(), dtype=float)
    total = float((mu * sizes).dot(mu * sizes))  # subjects without the feature: (0 − n μ)²
    n = sizes[seen]
    total += float(((k - n * mu) ** 2 - (n * mu) ** 2).sum())
    return total - float(sizes.sum()) * variance, float((sizes * (sizes - 1)).sum()) * variance


def _pooled(
    moments: Mapping[str, tuple[float, float]], class_of: Callable[[str], str], least: Mapping[str, float]
) -> dict[str, float]:
    """Return the ρ of each class, Σ above / Σ pairs over its features.

    A mean, not a median: of most words too few rows are known to show how far they follow their subject, and
    their own estimates lie at 0 or below; it is the few that do which say how far another may.
    """
    above, pairs = dict.fromkeys(least, 0.0), dict.fromkeys(least, 0.0)
    for feature, (own, of) in moments.items():
        above[class_of(feature)] += own
        pairs[class_of(feature)] += of
    return {c: _clipped(max(low, above[c] / pairs[c] if pairs[c] else low)) for c, low in least.items()}


def _clipped(rho: float) -> float:
    return min(max(rho, _LEAST_RHO), _MOST_RHO)
