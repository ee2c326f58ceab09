"""Parts of a plan: some of its comparisons, seeds and conditions, or the same with another model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from forgetwell.errors import InputError, unknown_name
from forgetwell.experiments.claims import Run
from forgetwell.experiments.plan import Comparison, Plan, cells


@dataclass(frozen=True)
class Part:
    """Which of a plan's runs are meant; all of them where nothing is named.

    Attributes:
        only: Names of comparisons, or parts of them as "loss=npo".
        seeds: Seeds.
        conditions: Conditions by name.
    """

    only: Sequence[str] = ()
    seeds: Sequence[int] = ()
    conditions: Sequence[str] = ()


WHOLE = Part()


def cut(plan: Plan, part: Part = WHOLE) -> Plan:
    """Return a part of a plan.

    Raises:
        InputError: The plan has no such comparison or seed.
        UnknownName: It has no such condition.
    """
    for name in part.only:
        if not any(_is_about(c, name) for c in plan.comparisons):
            names = ", ".join(c.name for c in plan.comparisons)
            raise InputError(f"The plan {plan.name} has no comparison {name!r}; it has {names}.")
    planned = list(dict.fromkeys(run.seed for _, run in cells(plan)))
    for seed in part.seeds:
        if seed not in planned:
            raise InputError(
                f"The plan {plan.name} has no seed {seed}; it has {', '.join(map(str, planned))}."
            )
    there = list(dict.fromkeys(run.condition for _, run in cells(plan)))
    for condition in part.conditions:
        if condition not in there:
            raise unknown_name(f"condition of {plan.name}", condition, there)
    return replace(
        plan,
        comparisons=tuple(
            replace(c, runs=tuple(r for r in c.runs if _is_in(r, part)))
            for c in plan.comparisons
            if not part.only or any(_is_about(c, name) for name in part.only)
        ),
    )


def _is_in(run: Run, part: Part) -> bool:
    return (not part.seeds or run.seed in part.seeds) and (
        not part.conditions or run.condition in part.conditions
    )


def with_model(plan: Plan, model: str) -> Plan:
    """Return the plan with another starting model in every comparison."""
    return replace(plan, comparisons=tuple(replace(c, model=model) for c in plan.comparisons))


def _is_about(comparison: Comparison, part: str) -> bool:
    return f" {part} " in f" {comparison.name} "
