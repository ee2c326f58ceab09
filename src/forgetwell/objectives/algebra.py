"""Objectives as papers write them: ``npo(beta=0.1) + gdr + 5*su``, weights with a schedule if wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forgetwell.calls import Weighted, parse_sum
from forgetwell.errors import InputError
from forgetwell.objectives.registry import TERMS
from forgetwell.objectives.schedules import SCHEDULES
from forgetwell.registry import Item


@dataclass(frozen=True)
class WeightedTerm:
    """A term with its weight and hyperparameters; `label` is how it was written.

    Attributes:
        label: Its name in logs.
        coefficient: Its weight, before any schedule.
        item: The term.
        hyperparameters: All of the term's.
        schedule: What multiplies the coefficient over a run, with its hyperparameters; None = nothing.
    """

    label: str
    coefficient: float
    item: Item
    hyperparameters: Mapping[str, Any]
    schedule: tuple[Item, Mapping[str, Any]] | None = None

    @property
    def views(self) -> tuple[str, ...]:
        """Views the policy is run on."""
        return tuple(i for i in self.item.inputs if not i.endswith("_ref"))

    @property
    def references(self) -> tuple[str, ...]:
        """Views the starting model is needed on."""
        return tuple(i.removesuffix("_ref") for i in self.item.inputs if i.endswith("_ref"))

    def weight(self, progress: float) -> float:
        """Return the coefficient at a share of the run's steps, in (0, 1]."""
        if self.schedule is None:
            return self.coefficient
        item, settings = self.schedule
        return self.coefficient * float(item.function(progress, **settings))


@dataclass(frozen=True)
class Objective:
    """A weighted sum of terms; `text` is its name everywhere."""

    text: str
    terms: tuple[WeightedTerm, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        """Its terms and schedules."""
        schedules = tuple(t.schedule[0] for t in self.terms if t.schedule)
        return (*(t.item for t in self.terms), *schedules)


def parse_objective(text: str) -> Objective:
    """Read an objective; a term with coefficient 0 is left out, its view with it.

    Raises:
        InputError: The text can't be read, a value is out of range, or nothing is left.
        UnknownName: A term, schedule or hyperparameter does not exist.
    """
    terms = []
    for weighted in parse_sum(text):
        if weighted.call.name == "gd":
            raise InputError(
                "'gd' is ambiguous: gradient difference is written 'ga + gdr', its retain term is 'gdr'."
            )
        term = _term(weighted)
        if term.coefficient:
            terms.append(term)
    if not terms:
        raise InputError(f"The objective {text!r} has no term left; write for example 'npo + gdr'.")
    labels = [t.label for t in terms]
    if len(set(labels)) < len(labels):
        raise InputError(f"The objective {text!r} holds a term twice; add the coefficients instead.")
    return Objective(" + ".join(labels), tuple(terms))


def _term(weighted: Weighted) -> WeightedTerm:
    item, hyperparameters = TERMS.resolve(weighted.call)
    for name in item.facts["positive"]:
        if not hyperparameters[name] > 0:
            raise InputError(f"{item.name} was given {name}={hyperparameters[name]:g}; it must be above 0.")
    schedule = SCHEDULES.resolve(weighted.schedule) if weighted.schedule else None
    term = WeightedTerm(str(weighted), weighted.coefficient, item, hyperparameters, schedule)
    term.weight(1.0)  # a schedule says at once what it can't do
    return term
