"""How often 95 % intervals hold the mean, of few subjects, and what the gate passes that decides by them.

python -m benchmarks.intervals
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from forgetwell.metrics.statistics import Floats, Sample, bounded_end, cluster_bootstrap

# Subjects of each set. The world's sets have 5 and 4 people, and single questions.
DESIGNS = ((2,), (3,), (5,), (8,), (12,), (20,), (40,), (3, 3), (5, 4, 40), (20, 20))
LIMIT, LOST = 0.15, (0.16, 0.05, 0.02)


def main(trials: int = 1000, rows: int = 8, correlation: float = 0.2, seed: int = 0) -> None:
    """Print how often intervals hold the mean, also plain percentiles, and then what the gate passes."""
    print("| subjects | values: intervals | percentiles | right or wrong: intervals | percentiles |")
    print("|---" * 5 + "|")
    for design in DESIGNS:
        shares = [
            share
            for binary in (False, True)
            for share in coverage(design, trials, rows, correlation, binary=binary, seed=seed)
        ]
        print(f"| {', '.join(map(str, design))} | {' | '.join(f'{s:.3f}' for s in shares)} |", flush=True)
    print(f"\n| subjects | {' | '.join(f'lost {p:g}, limit {LIMIT:g}: passed' for p in LOST)} |")
    print("|---" * (len(LOST) + 1) + "|")
    for subjects, *others in DESIGNS:
        if not others:
            shares = [passed(subjects, lost, trials, rows, correlation, seed) for lost in LOST]
            print(f"| {subjects} | {' | '.join(f'{s:.3f}' for s in shares)} |", flush=True)


def coverage(
    design: Sequence[int], trials: int, rows: int, correlation: float, *, binary: bool, seed: int
) -> tuple[float, float]:
    """Return the share of samples whose interval holds the mean, and that of plain percentile intervals."""
    stream = np.random.default_rng(seed)
    truth, hits = (0.5 if binary else 0.0), np.zeros(2)
    for trial in range(trials):
        samples = [
            _sample(stream, subjects, rows, correlation, 0.0 if binary else None) for subjects in design
        ]
        interval = cluster_bootstrap(samples, seed=trial, resamples=1000)
        low, high = np.quantile(_resampled(samples, stream, 1000), [0.025, 0.975])
        hits += (interval.low <= truth <= interval.high, low <= truth <= high)
    return tuple(hits / trials)


def passed(subjects: int, lost: float, trials: int, rows: int, correlation: float, seed: int) -> float:
    """Return how often the upper end for rows that are lost or not, as the gate has it, keeps the limit."""
    stream, found = np.random.default_rng(seed), 0
    for trial in range(trials):
        sample = _sample(stream, subjects, rows, correlation, below=float(ndtri(lost)))
        high = cluster_bootstrap([sample], seed=trial, resamples=1000).high
        found += max(high, bounded_end([sample], 1.0, upper=True, seed=trial, resamples=1000)) <= LIMIT
    return found / trials


def _sample(
    stream: np.random.Generator, subjects: int, rows: int, correlation: float, below: float | None = None
) -> Sample:
    own = stream.normal(size=(subjects, 1)) * math.sqrt(correlation)
    values = own + stream.normal(size=(subjects, rows)) * math.sqrt(1 - correlation)
    found = values if below is None else (values < below).astype(float)
    return Sample(found.ravel().tolist(), np.repeat(np.arange(subjects), rows).astype(str).tolist())


def _resampled(samples: Sequence[Sample], stream: np.random.Generator, resamples: int) -> Floats:
    """Return macro means of subjects drawn with replacement; all have the same number of rows."""
    found = np.zeros(resamples)
    for sample in samples:
        means = np.asarray(sample.values).reshape(len(set(sample.clusters)), -1).mean(1)
        found += means[stream.integers(0, len(means), (resamples, len(means)))].mean(1) / len(samples)
    return found


if __name__ == "__main__":
    main()
