"""The gradient of an objective, or of some of its terms, over one step's pairs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from forgetwell.models.processes import Processes
from forgetwell.objectives.algebra import Objective, WeightedTerm
from forgetwell.training.parallel import Parallel
from forgetwell.training.reference import Reference
from forgetwell.training.step import Counts, ViewKey, count, make_views, row_keys, term_values
from forgetwell.training.views import Pair


@dataclass(frozen=True)
class Gradient:
    """What is needed to differentiate the objective on a step's pairs.

    Attributes:
        parallel: The model, as the processes of the run train it.
        objective: All terms.
        reference: Values of the starting model.
        accumulate: Micro-batches a step is divided into.
    """

    parallel: Parallel
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
        keys, lm = row_keys(objective), self.parallel.lm
        counts = count(make_views(keys, pairs, lm.codec))
        totals = {t.label: torch.zeros((), device=lm.device) for t in objective.terms}
        parts = divided(pairs, self.parallel.processes, self.accumulate)
        for k, part in enumerate(parts):
            with self.parallel.micro_step(last=k == len(parts) - 1):
                chosen = part or parts[0] or pairs[:1]
                shares = self._backward(objective, keys, chosen, counts, weights, real=bool(part))
            totals = {label: totals[label] + shares[label] for label in totals}
        return self.parallel.total(totals)

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
        lm = self.parallel.lm
        views = make_views(keys, part, lm.codec)
        shares = term_values(lm, self.parallel.module, objective, views, counts, self.reference)
        loss = torch.stack([weights[label] * share for label, share in shares.items()]).sum()
        self.parallel.backward(loss * real)
        return {label: share.detach() * real for label, share in shares.items()}


def divided(pairs: tuple[Pair, ...], processes: Processes, parts: int) -> list[tuple[Pair, ...]]:
    """Return the micro-batches of this process, as many as every process has; some may be empty."""
    largest, mine = (_divide(pairs[i :: processes.count], parts) for i in (0, processes.index))
    return [*mine, *[()] * (len(largest) - len(mine))]


def _divide(pairs: tuple[Pair, ...], parts: int) -> list[tuple[Pair, ...]]:
    size = -(-len(pairs) // parts) or 1
    return [pairs[i : i + size] for i in range(0, len(pairs), size)]
