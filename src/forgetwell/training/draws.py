"""What each step trains on, decided by (seed, step) alone.

The draw does not depend on the objective's other views, on accumulation or on the number of processes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from forgetwell.errors import InputError
from forgetwell.training.views import Pair
from forgetwell.types import Row


@dataclass(frozen=True)
class Draws:
    """A deterministic stream of batches.

    An epoch is one pass over the forget rows, or over the retain rows where there are none. Retain rows
    run through permutations of their own.

    Attributes:
        forget: Rows to forget, possibly none.
        retain: Rows to keep, possibly none.
        refusals: Lines for refusal views.
        batch: Pairs a step.
        seed: Seed of all permutations.
    """

    forget: tuple[Row, ...]
    retain: tuple[Row, ...]
    refusals: tuple[str, ...]
    batch: int
    seed: int

    def __post_init__(self) -> None:
        """Refuse an empty draw."""
        if not self.forget and not self.retain:
            raise InputError("There is nothing to train on: no forget rows and no retain rows.")

    @property
    def steps_per_epoch(self) -> int:
        """Steps in one epoch; the last may hold fewer pairs."""
        return -(-len(self.forget or self.retain) // self.batch)

    def pairs(self, step: int) -> tuple[Pair, ...]:
        """Return the pairs of a step (from 0)."""
        lead = len(self.forget or self.retain)
        epoch, within = divmod(step, self.steps_per_epoch)
        places = range(within * self.batch, min((within + 1) * self.batch, lead))
        return tuple(self._pair(epoch * lead + place) for place in places)

    def _pair(self, draw: int) -> Pair:
        forget = _drawn(self.forget, "forget", draw, self.seed)
        retain = _drawn(self.retain, "retain", draw, self.seed)
        chooser = random.Random(f"{self.seed}/refusal/{draw}")
        refusal = chooser.choice(self.refusals) if self.refusals else ""
        others = forget.wrong if forget else ()
        alternate = random.Random(f"{self.seed}/alternate/{draw}").choice(others) if others else ""
        return Pair(forget, retain, refusal, alternate, f"{self.seed}/{draw}", self._others(draw))

    def _others(self, draw: int) -> tuple[Row, ...]:
        """Return the forget rows that follow in this epoch's order, beginning again at its end.

        As many as a full batch has beside this one, also in an epoch's last step, which may have fewer pairs.
        """
        if not self.forget:
            return ()
        count = len(self.forget)
        epoch, place = divmod(draw, count)
        order = _permutation(count, "forget", epoch, self.seed)
        return tuple(self.forget[order[(place + k) % count]] for k in range(1, min(self.batch, count)))


def _drawn(rows: Sequence[Row], name: str, draw: int, seed: int) -> Row | None:
    if not rows:
        return None
    epoch, place = divmod(draw, len(rows))
    return rows[_permutation(len(rows), name, epoch, seed)[place]]


@lru_cache(maxsize=64)
def _permutation(count: int, name: str, epoch: int, seed: int) -> tuple[int, ...]:
    order = list(range(count))
    random.Random(f"{seed}/{name}/{epoch}").shuffle(order)
    return tuple(order)
