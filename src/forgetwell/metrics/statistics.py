"""Means with intervals that know which rows belong together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from forgetwell.errors import InputError

Floats = NDArray[np.float64]
FEWEST = 6  # with fewer clusters no pattern of signs is rarer than 5 %


@dataclass(frozen=True)
class Interval:
    """A mean with its interval and the number of rows."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Sample:
    """Values of one set.

    Attributes:
        values: One a row.
        clusters: The cluster (subject) that each row belongs to.
        questions: The question that each row asks in its own way; empty = every row another one.
    """

    values: Sequence[float]
    clusters: Sequence[str]
    questions: Sequence[str] = ()


def cluster_bootstrap(
    samples: Sequence[Sample], *, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> Interval:
    """Return the unweighted mean of the sets' means with a bootstrap interval widened for few clusters.

    Each set is resampled by itself, whole clusters drawn with replacement; a resample's mean is (sum of its
    values) / (number of its values). Of a set with one cluster, rows are drawn instead: the interval is about
    further rows of that cluster. Equal values have no width.

    Raises:
        InputError: There are no sets, or a set has no values.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 8; its ends: `widened`.
    """
    columns = [np.asarray(s.values, dtype=np.float64)[:, None] for s in samples]
    sets = [Paired(column, s.clusters) for column, s in zip(columns, samples, strict=True)]
    return resample(sets, seed=seed, resamples=resamples).mean(lambda means: means[:, 0], level=level)


def bounded_end(
    samples: Sequence[Sample],
    worst: float,
    *,
    upper: bool,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> float:
    """Return a bound on the mean of several sets' means that is no surer than few rows can be.

    Each set has one imagined question more, with the worst value there is, and its K units weigh as
    w ~ Dirichlet(1, …, 1): ``(Σ_k w_k S_k + w_0 m worst) / (Σ_k w_k n_k + w_0 m)``, S_k and n_k a unit's sum
    and rows, m the rows of a question. Units are clusters, or questions where there are fewer than 6
    clusters. Where every row is a unit and right or wrong, this is the bound of Clopper and Pearson; a
    percentile interval of equal values has no width however few they are.

    Args:
        samples: One a set.
        worst: The worst value that a row can have.
        upper: Whether that is the highest one, and the bound an upper one.
        seed: Of the weights.
        resamples: Draws.
        level: Level of the two-sided interval whose end this is.

    Source: Learned-Miller and Thomas, arXiv 1905.06208, for independent rows; units of several rows are ours.
    """
    stream = np.random.default_rng(seed)
    means = np.mean([_weighed(s, worst, stream, resamples) for s in samples], axis=0)
    return float(np.quantile(means, (1 + level) / 2 if upper else (1 - level) / 2))


def request_units(subjects: Sequence[str], questions: Sequence[str]) -> Sequence[str]:
    """Return what each row to forget belongs to when units are drawn: its subject, or its question.

    The subjects of a request are all that are to be forgotten, no sample of others. Where there are fewer
    than 6, an interval is about further questions on them; more are drawn as those of other sets, which
    tells what is left of a few of them.
    """
    return questions if len(set(subjects)) < FEWEST else subjects


def paired_difference(a: Sequence[float], b: Sequence[float], clusters: Sequence[str]) -> Sample:
    """Return the row-by-row differences a - b as a sample, for either bootstrap.

    Raises:
        InputError: The lengths differ.
    """
    if len(a) != len(b):
        raise InputError(f"Paired values need equal lengths; {len(a)} and {len(b)} were given.")
    return Sample([x - y for x, y in zip(a, b, strict=True)], clusters)


@dataclass(frozen=True)
class Paired:
    """Several conditions measured on the same rows of one set.

    Attributes:
        values: One value a row and condition (n, C).
        clusters: The cluster (subject) of each row (n,).
    """

    values: Floats
    clusters: Sequence[str]


@dataclass(frozen=True)
class Resamples:
    """Bootstrap resamples of every condition's mean of each set.

    Attributes:
        sets: One (resamples + 1, C) a set; the first line is the sample.
        units: How many clusters were drawn of each set; of a set with one cluster, how many rows.
        rows: The rows of each set (n, C).
    """

    sets: tuple[Floats, ...]
    units: tuple[int, ...]
    rows: tuple[Floats, ...]

    @property
    def means(self) -> Floats:
        """Macro means over the sets (resamples + 1, C)."""
        means: Floats = np.mean(self.sets, axis=0)
        return means

    @property
    def apart(self) -> tuple[Floats, ...]:
        """Macro means where one set alone is drawn anew, the others as they are; one array a set."""
        first = [s[0] for s in self.sets]
        return tuple((sum(first) - first[k] + s) / len(first) for k, s in enumerate(self.sets))

    def mean(self, statistic: Callable[[Floats], Floats], *, level: float = 0.95) -> Interval:
        """Return a condition's macro mean, or a difference of two, with its interval.

        It does not go beyond the lowest and the highest row (the mean over the sets of these).

        Args:
            statistic: As for `interval`; a sum of conditions with weights, so that it is one of rows too.
            level: Of the two-sided interval.
        """
        found = self.interval(statistic, level=level)
        own = [statistic(rows) for rows in self.rows]
        lowest, highest = (float(np.mean([end(o) for o in own])) for end in (np.min, np.max))
        low, high = max(found.low, lowest), min(found.high, highest)
        return replace(found, low=min(low, found.value), high=max(high, found.value))  # but for rounding

    def interval(self, statistic: Callable[[Floats], Floats], *, level: float = 0.95) -> Interval:
        """Return a statistic of the conditions' macro means with its interval, `widened` for few units.

        Args:
            statistic: From macro means (lines, C) to one number a line.
            level: Of the two-sided interval.
        """
        apart, rows = [statistic(means) for means in self.apart], sum(map(len, self.rows))
        return widened(statistic(self.means), apart, self.units, rows, level=level)


def widened(
    together: Floats, apart: Sequence[Floats], units: Sequence[int], n: int, *, level: float = 0.95
) -> Interval:
    """Return the percentile interval of a resampled statistic, widened for few units.

    Each side of the value is multiplied by ``√(Σ u_s / Σ v_s) · t(ν)/z``: v_s the variance of the statistic
    where set s alone is drawn anew, K_s the set's units, ``u_s = v_s K_s/(K_s-1)`` and
    ``ν = (Σ u_s)² / Σ u_s²/(K_s-1)``; t and z the quantiles of Student's t and of the normal distribution at
    this level. Resamples vary less than further samples by the first factor, and the second is for a
    variance that is estimated. Simulated with 8 values a unit (normal, or right and wrong; correlation .2),
    95 % intervals hold the mean in 93 to 95 % of samples of 3 to 40 units and 89 to 93 % of 2, and in 94 to
    97 % of samples of two or three sets; without the factor in 77, 81, 89 and 92 % of 3, 5, 8 and 20 units
    with normal values (benchmarks/intervals.py).

    Args:
        together: The statistic of the sample, then of its resamples (resamples + 1,).
        apart: The statistic where one set alone is drawn anew, the others as they are; one array a set.
        units: How many units of each set are drawn; what one unit has to say has no known variance, and
            adds none.
        n: Rows in all.
        level: Of the two-sided interval.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 8, for the percentiles;
    Hesterberg, The American Statistician 69 (2015), 371-386, for both factors, which he applies to the
    percentiles (of few units there are none far enough out); Satterthwaite, Biometrics 2 (1946), 110-114,
    for ν.
    """
    value, tail = float(together[0]), (1 + level) / 2
    low, high = np.quantile(together[1:], [1 - tail, tail])
    spare = np.maximum(np.asarray(units, dtype=np.float64) - 1, 1)
    biased = np.array([np.var(a) if count > 1 else 0.0 for a, count in zip(apart, units, strict=True)])
    below, above = max(value - float(low), 0.0), max(float(high) - value, 0.0)
    if not biased.any():
        return Interval(value, value - below, value + above, n)
    biased /= biased.max()
    unbiased = biased * (spare + 1) / spare
    freedom = unbiased.sum() ** 2 / (unbiased**2 / spare).sum()
    factor = float(np.sqrt(unbiased.sum() / biased.sum()) * stdtrit(freedom, tail) / ndtri(tail))
    return Interval(value, value - factor * below, value + factor * above, n)


def resample(sets: Sequence[Paired], *, seed: int = 0, resamples: int = 2000) -> Resamples:
    """Return bootstrap resamples of every condition's mean of each set.

    All conditions of a resample hold the same clusters, so that any function of them (a difference, a ratio
    of differences) has the paired distribution. Sets are resampled by themselves and weigh alike.

    Raises:
        InputError: There are no sets, or a set has no rows.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 8.
    """
    if not sets or not all(len(s.values) for s in sets):
        raise InputError("An interval needs at least one set, each with at least one value.")
    stream = np.random.default_rng(seed)
    drawn, units = zip(*(_drawn_means(s.values, s.clusters, stream, resamples) for s in sets), strict=True)
    return Resamples(drawn, units, tuple(s.values for s in sets))


def _weighed(sample: Sample, worst: float, stream: np.random.Generator, resamples: int) -> Floats:
    """Return means (resamples,) of randomly weighed units, one imagined question among them."""
    values = np.asarray(sample.values, dtype=np.float64)
    questions, asked = _numbered(sample.questions or range(len(values)))
    units, index = _numbered(sample.clusters)
    if units < FEWEST:
        units, index = questions, asked
    rows = len(values) / questions
    sums = np.append(np.bincount(index, weights=values, minlength=units), rows * worst)
    sizes = np.append(np.bincount(index, minlength=units), rows)
    weights = stream.standard_exponential((resamples, units + 1))
    means: Floats = (weights @ sums) / (weights @ sizes)
    return means


def _numbered(names: Sequence[object]) -> tuple[int, NDArray[np.intp]]:
    """Return how many names there are, and the number of each row's."""
    found, index = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)
    return len(found), index


def _drawn_means(
    values: Floats, clusters: Sequence[str], stream: np.random.Generator, resamples: int
) -> tuple[Floats, int]:
    """Return column means (resamples + 1, C), of all and of units drawn with replacement, and their number.

    Units are clusters; rows, if there is but one cluster.
    """
    units, index = _numbered(clusters)
    if units == 1:
        units, index = len(values), np.arange(len(values))
    sizes = np.bincount(index, minlength=units)
    sums = np.zeros((units, values.shape[1]))
    np.add.at(sums, index, values)
    drawn = stream.integers(0, units, size=(resamples, units))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)[:, None]
    return np.concatenate([values.mean(0)[None], means]), units
