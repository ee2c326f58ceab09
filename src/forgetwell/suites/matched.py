"""Comparing methods where they forgot equally much."""

from __future__ import annotations

from collections.abc import Sequence

from forgetwell.errors import InputError


def utility_at(forget_curve: Sequence[float], utility_curve: Sequence[float], level: float) -> float | None:
    """Return the utility at the first moment that forgetting reaches a level; None where it never does.

    ``f = argmin Σ_k (f_k - forget_k)²`` with f non-increasing; utility is interpolated linearly between the
    two checkpoints where f passes the level.

    Args:
        forget_curve: Forget ROUGE (lower = more forgotten) at each checkpoint, in order of steps.
        utility_curve: Utility at the same checkpoints.
        level: Forget ROUGE at which to read.

    Raises:
        InputError: The curves are empty or of different lengths.

    Source: pool-adjacent-violators as in scipy; the comparison is our own.
    """
    from scipy.optimize import isotonic_regression

    if not forget_curve or len(forget_curve) != len(utility_curve):
        raise InputError(
            f"Curves of {len(forget_curve)} and {len(utility_curve)} checkpoints were given; give both at "
            "the same checkpoints, at least one."
        )
    fit = [float(v) for v in isotonic_regression(list(forget_curve), increasing=False).x]
    reached = next((k for k, value in enumerate(fit) if value <= level), None)
    if reached is None or reached == 0:
        return None if reached is None else float(utility_curve[0])
    before, after = utility_curve[reached - 1], utility_curve[reached]
    share = (fit[reached - 1] - level) / (fit[reached - 1] - fit[reached])
    return float(before + share * (after - before))
