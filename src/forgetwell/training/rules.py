"""Step rules: which gradient a step descends, for any objective."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from forgetwell.errors import InputError
from forgetwell.registry import Family
from forgetwell.training.parallel import full

STEP_RULES = Family("step rule", "forgetwell.training")
Values = dict[str, float]


@dataclass(frozen=True)
class Descent:
    """One step's terms as functions of the parameters.

    Attributes:
        parameters: Those that are trained.
        forget: Adds the gradient of the weighted forget terms to the parameters'; returns each term's value.
            None where the objective has no such term.
        keep: The same for all other terms.
        everything: The same for all terms, in one pass.
    """

    parameters: Sequence[nn.Parameter]
    forget: Callable[[], Values] | None
    keep: Callable[[], Values] | None
    everything: Callable[[], Values]


StepRule = Callable[..., Values]


def step_rule(*, paper: str) -> Callable[[StepRule], StepRule]:
    """Register a step rule: ``(descent, *, …) -> values`` leaves the gradient to descend in ``.grad``."""

    def register(function: StepRule) -> StepRule:
        STEP_RULES.add(function, paper=paper)
        return function

    return register


@step_rule(paper="2506.00359")
def plain(descent: Descent) -> Values:
    """The gradient of the whole objective.

    ``g = ∇ Σ_i c_i L_i(θ)``.

    Source: gradient descent on eq. 1 of arXiv 2506.00359.
    Tested: in every entry of docs/experiments.md that names no rule.
    Fails when: forget and retain terms pull against each other (see `surgery`), or the model is trained
    again on a few forgotten rows (see `sam`).
    """
    return descent.everything()


@step_rule(paper="2502.05374")
def sam(descent: Descent, *, rho: float = 0.01) -> Values:
    """Sharpness-aware minimization of the forget terms, so that relearning has a longer way back.

    ``g = ∇L_f(θ + ρ ∇L_f(θ)/‖∇L_f(θ)‖) + ∇L_keep(θ)``: forget terms L_f (with their coefficients) where
    a step of length ρ raises them most, all others where the weights are. One more pass over the forget
    views a step. The values reported are those at θ.

    Args:
        descent: The step's terms.
        rho: Radius ρ ≥ 0, the length of that step over all trained parameters; 0 = `plain`.

    Source: Foret et al., arXiv 2010.01412, eq. 2 and 3; for unlearning Fan et al., arXiv 2502.05374 (read in
    abstract and title, not in its equations).
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``npo + gdr`` at 3e-5 takes forget
    recall from .95 to .68 and retain recall from 1.00 to .68 (`plain`: .55 and .72). Relearning afterwards,
    which it is for, is slower: after 8 steps on a third of the forgotten rows the others' recall is .52 (.62)
    and their probability .07 (.21), from .39 (.37) and .00.
    Fails when: ρ is large against the weights' own changes: the gradient is then taken at a model that says
    nothing sensible. An objective without forget terms gives `plain`.
    """
    if rho < 0:
        raise InputError(f"sam(rho={rho}): the radius is at least 0.")
    if rho == 0 or descent.forget is None:
        return descent.everything()
    values = descent.forget()
    uphill = _taken(descent.parameters)
    length = _norm(uphill)
    with _moved(descent.parameters, uphill, rho / length if length > 0 else 0.0):
        descent.forget()
    return values | (descent.keep() if descent.keep else {})


@step_rule(paper="2001.06782")
def surgery(descent: Descent, *, project: Literal["both", "forget"] = "both") -> Values:
    """Gradient surgery: take out of each side's gradient what goes against the other.

    With g_f of the forget terms and g_k of all others (each with its coefficients), where ``g_f · g_k < 0``:
    ``g_f ← g_f - (g_f · g_k / ‖g_k‖²) g_k``, and with "both" ``g_k`` likewise, each against the other as it
    was. Their sum is descended.

    Args:
        descent: The step's terms.
        project: Both sides, or the forget gradient alone: then a step never works against the retain terms.

    Source: Yu et al., arXiv 2001.06782, algorithm 1 with two tasks, where its random order has no effect.
    "forget" is ours.
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4 at 3e-5, seed 0, one run each: recall is that of
    `plain` within .04 in every set, ``npo + gdr`` forget .53 and retain .67 (`plain`: .52 and .69),
    ``idk + gdr`` .10 and .83 (.12 and .83), for 1.6 to 1.9 times the time: there it gains nothing.
    Fails when: both sides want the same rows (a poisoned request with its own words among the retain rows):
    what is left of the forget gradient is small, and forgetting takes many more steps.
    """
    if descent.forget is None or descent.keep is None:
        return descent.everything()
    values = descent.forget()
    away = _taken(descent.parameters)
    values |= descent.keep()
    stay = _taken(descent.parameters)
    dot = _dot(away, stay)
    if dot < 0:
        original = away
        away = _without(away, stay, dot)
        stay = _without(stay, original, dot) if project == "both" else stay
    for parameter, a, b in zip(descent.parameters, away, stay, strict=True):
        parameter.grad = a + b
    return values


def _taken(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    """Return the gradients and clear them."""
    taken = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    for parameter in parameters:
        parameter.grad = None
    return taken


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    products = [full((x.double() * y.double()).sum()) for x, y in zip(a, b, strict=True)]
    return float(torch.stack(products).sum())


def _norm(a: Sequence[Tensor]) -> float:
    return math.sqrt(_dot(a, a))


def _without(a: Sequence[Tensor], b: Sequence[Tensor], dot: float) -> list[Tensor]:
    """Return a without its part along b."""
    share = dot / _dot(b, b)
    return [x - share * y for x, y in zip(a, b, strict=True)]


@contextlib.contextmanager
def _moved(parameters: Sequence[nn.Parameter], along: Sequence[Tensor], by: float) -> Iterator[None]:
    """Move the parameters for a while; they come back bit by bit as they were."""
    kept = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for parameter, direction in zip(parameters, along, strict=True):
            parameter.add_(direction, alpha=by)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, kept, strict=True):
                parameter.copy_(value)
