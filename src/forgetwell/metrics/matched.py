"""Comparing methods where they forgot equally much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetwell.errors import InputError
from forgetwell.metrics.registry import curve_metric

_ROUNDING = 1e-9  # the mean of equal values in a fit may lie this far from them


@dataclass(frozen=True, slots=True)
class Reading:
    """A place on a training curve: between checkpoint `before` and `after`, `share` of the way."""

    before: int
    after: int
    share: float

    def of(self, curve: Sequence[float]) -> float:
        """Return a curve's value there, interpolated linearly."""
        return float(curve[self.before] + self.share * (curve[self.after] - curve[self.before]))


def read_at(forget_curve: Sequence[float], level: float) -> Reading | None:
    """Return the first place where forgetting reaches a level.

    None where it never does, and where the first checkpoint is there already: how the level was reached,
    and what that took, was not seen then.

    ``f = argmin Σ_k (f_k - forget_k)²`` with f non-increasing; the place is where f passes the level.

    Args:
        forget_curve: Forget ROUGE (lower = more forgotten) at each checkpoint, in order of steps.
        level: Forget ROUGE at which to read.

    Raises:
        InputError: The curve is empty.

    Source: pool-adjacent-violators as in scipy; the comparison is our own.
    """
    from scipy.optimize import isotonic_regression

    if not forget_curve:
        raise InputError("A forgetting curve without checkpoints was given; probe at least once.")
    fit = [float(v) for v in isotonic_regression(list(forget_curve), increasing=False).x]
    reached = next((k for k, value in enumerate(fit) if value <= level + _ROUNDING), None)
    if reached is None or forget_curve[0] <= level + _ROUNDING:
        return None
    share = (fit[reached - 1] - level) / (fit[reached - 1] - fit[reached])
    return Reading(reached - 1, reached, min(1.0, share))


@curve_metric(
    better="high",
    meaning="Utility at the step where the model had forgotten a stated amount, so that runs are comparable.",
    paper="2506.00359",
)
def matched_utility(
    forget_curve: Sequence[float], utility_curve: Sequence[float], *, level: float = 0.4
) -> float | None:
    """Utility where forgetting first reaches a level (`read_at`), between probes by interpolation.

    None where the run never forgets so much, or starts there. Both curves hold one value a probe, 0 … 1, in
    order of steps.

    Args:
        forget_curve: Forget ROUGE-L recall (lower = more forgotten).
        utility_curve: Clean or trigger utility at the same probes.
        level: Forget recall at which to read.

    Raises:
        InputError: The curves are empty or of different lengths.

    Source: ours; utility and forgetting are those of arXiv 2506.00359, section 5.
    """
    if not forget_curve or len(forget_curve) != len(utility_curve):
        raise InputError(
            f"Curves of {len(forget_curve)} and {len(utility_curve)} checkpoints were given; give both at "
            "the same checkpoints, at least one."
        )
    place = read_at(forget_curve, level)
    return None if place is None else place.of(utility_curve)
