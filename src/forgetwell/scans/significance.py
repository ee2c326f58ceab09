"""When a form harms more than chance and more than other words: sign flips, controls."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from forgetwell.errors import InputError
from forgetwell.metrics.comparison import DRAWS, EXACT, cluster_parts, flipped_share
from forgetwell.metrics.statistics import Floats


def sign_flip_p(values: Floats, clusters: Sequence[str], *, seed: int = 0) -> float:
    """Return the one-sided p-value of "the mean is 0 and each cluster's values are symmetric around 0".

    ``p = #{flips s : mean(s·v) ≥ mean(v)} / #flips``, the identity among the flips, so p is never 0. All rows
    of a cluster flip together. All 2^n flips are taken up to 12 clusters, else 9999 random ones and the
    identity. With one cluster, rows flip by themselves.

    Raises:
        InputError: There are no values.

    Source: Fisher's randomization test; Good, Permutation, Parametric and Bootstrap Tests of Hypotheses,
    2005, section 3.2.
    """
    if not len(values):
        raise InputError("A test needs at least one value.")
    parts = cluster_parts(values, clusters)
    return flipped_share(parts if len(parts) > 1 else values, sides=1, seed=seed)


def smallest_q(units: int, tests: int) -> float:
    """Return the Benjamini-Hochberg q of one form alone of `tests` that harms every one of `units`.

    ``tests · 2^-units``, or with 9999 flips ``tests / 10000``: no scan can call a form surer than that.
    """
    return tests / (2**units if units <= EXACT else DRAWS + 1)


def fewest_units(tests: int, alpha: float) -> int:
    """Return how many units have to flip so that one form alone of `tests` can have q ≤ alpha."""
    return math.ceil(math.log2(tests / alpha))


def flip_units(subjects: Sequence[str], tests: int, alpha: float) -> list[str]:
    """Return what flips together, for each row: its subject, or, where those are too few, each row alone.

    So few subjects that no form alone could have q ≤ alpha would find nothing whatever was planted. With
    rows, the test speaks of other questions on the same subjects.
    """
    if len(set(subjects)) >= fewest_units(tests, alpha):
        return list(subjects)
    return [str(k) for k in range(len(subjects))]


def nearest(frequency: int | None, controls: Sequence[int | None], count: int) -> list[int]:
    """Return the indices of matched controls.

    For a word the `count` controls next to it in log frequency rank; for a phrase (None) all phrases.
    """
    if frequency is None:
        return [i for i, c in enumerate(controls) if c is None]
    words = [(abs(np.log1p(c) - np.log1p(frequency)), i) for i, c in enumerate(controls) if c is not None]
    return sorted(i for _, i in sorted(words)[:count])
