"""How much memory a training run takes, from two small forwards before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from forgetwell.models.lm import HFModel
from forgetwell.types import Encoded

GIGABYTE = 1e9
# Rows of the two forwards that are measured.
_FEW, _MORE = 1, 8


@dataclass(frozen=True)
class Memory:
    """Estimated memory of a run, in GB.

    Attributes:
        process: What the process holds already: libraries, and the weights in float32.
        moments: AdamW's two moments of the trained parameters, in float32.
        gradients: Their gradients.
        activations: What a micro-batch's forward keeps for its backward pass.
        accumulates: Whether gradients of earlier micro-batches are there during a forward.
    """

    process: float
    moments: float
    gradients: float
    activations: float
    accumulates: bool

    @property
    def peak(self) -> float:
        """Return the most that is held at once.

        A backward pass frees activations while it makes gradients, so that without accumulation the larger
        of the two counts.
        """
        both = self.gradients + self.activations
        largest = both if self.accumulates else max(self.gradients, self.activations)
        return self.process + self.moments + largest


def estimate_memory(
    lm: HFModel, rows: Sequence[Encoded], *, logits: bool, accumulates: bool = False
) -> Memory:
    """Return what a step on these rows (of one micro-batch, all views) will hold.

    What autograd keeps is counted, tensor by tensor, for a forward on one row and one on eight, and continued
    along a line in tokens: ``a + b · tokens``, a being weights in the compute type.

    Args:
        lm: The model, with adapters if they are trained; only what is trainable counts as state.
        rows: Rows of a micro-batch.
        logits: Whether a term reads full logits.
        accumulates: Whether a step has several micro-batches.
    """
    gradients = 4 * sum(p.numel() for p in lm.trainable()) / GIGABYTE
    samples = [list(rows[:count]) for count in (_FEW, _MORE)]
    few, more = (kept_bytes(lm, sample, logits=logits) for sample in samples)
    tokens = [lm.batch(part).ids.numel() for part in (*samples, list(rows))]
    slope = (more - few) / (tokens[1] - tokens[0]) if tokens[1] > tokens[0] else more / max(1, tokens[1])
    kept = few + slope * (tokens[2] - tokens[0])
    return Memory(resident() / GIGABYTE, 2 * gradients, gradients, kept / GIGABYTE, accumulates)


def kept_bytes(lm: HFModel, rows: Sequence[Encoded], *, logits: bool) -> int:
    """Return the bytes that autograd keeps of a forward on these rows, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in lm.module.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # Held, so that no place is used twice; not the tensor, whose graph would hold it in turn.
            kept[storage.data_ptr()] = storage

    counting = torch.autograd.graph.saved_tensors_hooks(keep, lambda nothing: nothing)
    with torch.enable_grad(), counting, lm.precision():
        lm.module(lm.batch(rows), logits)
    return sum(storage.nbytes() for storage in kept.values())


def resident() -> int:
    """Return the bytes that this process holds now; 0 where the system doesn't say."""
    try:
        with open("/proc/self/statm") as status:
            pages = int(status.read().split()[1])
    except OSError:
        return 0
    import resource

    return pages * resource.getpagesize()
