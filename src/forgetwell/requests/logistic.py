"""Multinomial logistic regression: how much more probable each class is than the first.

By scipy's optimizer, which the package needs anyway: no further dependency for every user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from forgetwell.metrics.statistics import Floats

_STEPS = 300


@dataclass(frozen=True, eq=False)
class Logistic:
    """A fitted model.

    Attributes:
        center: Mean of each trait (d,).
        scale: Standard deviation of each trait (d,).
        weights: Of the constant and the traits, for each class but the first (1 + d, C − 1).
    """

    center: Floats
    scale: Floats
    weights: Floats

    def log_odds(self, x: Floats) -> Floats:
        """Return log P(class | x) − log P(first class | x) of rows x (n, d), as (n, C − 1)."""
        odds: Floats = _standard(x, self.center, self.scale) @ self.weights
        return odds


def fit_logistic(x: Floats, classes: NDArray[np.int64], share: Floats, *, ridge: float = 1.0) -> Logistic:
    """Return the classifier that minimizes −Σ_i v_i log P(class_i | x_i) + ridge/2 Σ w².

    Traits are standardized; constants aren't penalized.

    Args:
        x: Rows of traits (n, d).
        classes: Class of each row, from 0 (n,).
        share: Weight v of each row (n,).
        ridge: Penalty of the weights.

    Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, 2nd edition, section 4.4.
    """
    center, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    z = _standard(x, center, scale)
    shape = (z.shape[1], int(classes.max()))
    ours = np.eye(shape[1] + 1)[classes]

    def loss(flat: Floats) -> tuple[float, Floats]:
        w = flat.reshape(shape)
        logits = np.c_[np.zeros(len(z)), z @ w]
        logits -= logits.max(axis=1, keepdims=True)
        log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        slope = z.T @ (share[:, None] * (np.exp(log_p) - ours))[:, 1:]
        slope[1:] += ridge * w[1:]
        value = -float(share @ (log_p * ours).sum(axis=1)) + ridge / 2 * float((w[1:] ** 2).sum())
        return value, slope.ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    return Logistic(center, scale, found.x.reshape(shape))


def _standard(x: Floats, center: Floats, scale: Floats) -> Floats:
    standard: Floats = np.c_[np.ones(len(x)), (x - center) / scale]
    return standard
