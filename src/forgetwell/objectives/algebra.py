"""Objectives as papers write them: ``npo(beta=0.1) + gdr + 5*su``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forgetwell.calls import parse_sum
from forgetwell.errors import InputError
from forgetwell.objectives.registry import TERMS
from forgetwell.registry import Item


@dataclass(frozen=True)
class WeightedTerm:
    """A term with its coefficient and hyperparameters; `label` is how it was written."""

    label: str
    coefficient: float
    item: Item
    hyperparameters: Mapping[str, Any]

    @property
    def views(self) -> tuple[str, ...]:
        """Views the policy is run on."""
        return tuple(i for i in self.item.inputs if not i.endswith("_ref"))

    @property
    def references(self) -> tuple[str, ...]:
        """Views the starting model is needed on."""
        return tuple(i.removesuffix("_ref") for i in self.item.inputs if i.endswith("_ref"))


@dataclass(frozen=True)
class Objective:
    """A weighted sum of terms; `text` is its name everywhere."""

    text: str
    terms: tuple[WeightedTerm, ...]


def parse_objective(text: str) -> Objective:
    """Read an objective; a term with coefficient 0 is left out, its view with it.

    Raises:
        InputError: The text can't be read, or nothing is left.
        UnknownName: A term or hyperparameter does not exist.
    """
    terms = []
    for weighted in parse_sum(text):
        if weighted.call.name == "gd":
            raise InputError(
                "'gd' is ambiguous: gradient difference is written 'ga + gdr', its retain term is 'gdr'."
            )
        item, hyperparameters = TERMS.resolve(weighted.call)
        if weighted.coefficient:
            label = str(weighted)
            terms.append(WeightedTerm(label, weighted.coefficient, item, hyperparameters))
    if not terms:
        raise InputError(f"The objective {text!r} has no term left; write for example 'npo + gdr'.")
    labels = [t.label for t in terms]
    if len(set(labels)) < len(labels):
        raise InputError(f"The objective {text!r} holds a term twice; add the coefficients instead.")
    return Objective(" + ".join(labels), tuple(terms))
