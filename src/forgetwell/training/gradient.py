"""The gradient of an objective, or of some of its terms, over one step's pairs."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from forgetwell.models.lm import HFModel
from forgetwell.objectives.algebra import Objective, WeightedTerm
from forgetwell.training.reference import Reference
from forgetwell.training.step import Counts, ViewKey, count, make_views, term_values, view_keys
from forgetwell.training.views import Pair


@dataclass(frozen=True)
class Gradient:
    """What is needed to differentiate the objective on a step's pairs.

    Attributes:
        lm: The model.
        module: The same as accelerate prepared it.
        accelerator: Of accelerate.
        objective: All terms.
        reference: Values of the starting model.
        accumulate: Micro-batches a step is divided into.
    """

    lm: HFModel
    module: nn.Module
    accelerator: Any
    objective: Objective
    reference: Reference
    accumulate: int

    def add(
        self, pairs: tuple[Pair, ...], weights: Mapping[str, float], terms: Collection[WeightedTerm]
    ) -> dict[str, float]:
        """Add the gradient of ``Σ weight · term`` to the parameters'; return each term's value.

        Args:
            pairs: The whole step's, over all processes.
            weights: Of each term, by label.
            terms: Those of the objective's terms that count; only their views are run.
        """
        objective = Objective(self.objective.text, tuple(t for t in self.objective.terms if t in terms))
        keys = view_keys(objective)
        counts = count(make_views(keys, pairs, self.lm.codec))
        mine = pairs[self.accelerator.process_index :: self.accelerator.num_processes]
        totals = {t.label: torch.zeros((), device=self.lm.device) for t in objective.terms}
        parts = _divide(mine, self.accumulate) or [()]
        for k, part in enumerate(parts):
            with self._synchronize(last=k == len(parts) - 1):
                chosen = part or pairs[:1]
                shares = self._backward(objective, keys, chosen, counts, weights, real=bool(part))
            totals = {label: totals[label] + shares[label] for label in totals}
        return {k: float(v) for k, v in self.accelerator.reduce(totals, reduction="sum").items()}

    def _backward(
        self,
        objective: Objective,
        keys: tuple[ViewKey, ...],
        part: tuple[Pair, ...],
        counts: dict[ViewKey, Counts],
        weights: Mapping[str, float],
        *,
        real: bool,
    ) -> dict[str, Tensor]:
        """Add this micro-batch's gradient; a process without rows takes part with a loss of zero."""
        views = make_views(keys, part, self.lm.codec)
        shares = term_values(self.lm, self.module, objective, views, counts, self.reference)
        loss = torch.stack([weights[label] * share for label, share in shares.items()]).sum()
        # Data-parallel training averages gradients over processes; shares are parts of a sum.
        self.accelerator.backward(loss * self.accelerator.num_processes * real)
        return {label: share.detach() * real for label, share in shares.items()}

    def _synchronize(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        if last:
            return contextlib.nullcontext()
        waiting: contextlib.AbstractContextManager[Any] = self.accelerator.no_sync(self.module)
        return waiting


def _divide(pairs: tuple[Pair, ...], parts: int) -> list[tuple[Pair, ...]]:
    size = -(-len(pairs) // parts) or 1
    return [pairs[i : i + size] for i in range(0, len(pairs), size)]
