"""One training step on several processes: whole copies (DDP), or weights divided among them (FSDP2).

The launcher decides (``accelerate launch --config_file …``, or ``torchrun`` for copies); files for it are in
``examples/accelerate/``. Shares of the loss are parts of one sum over the whole step, so that any number of
processes descends the same gradient.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from forgetwell.errors import InputError
from forgetwell.models.hidden import decoder_layers
from forgetwell.models.lm import HFModel
from forgetwell.models.processes import Processes, started_processes

Kind = Literal["single", "ddp", "fsdp2"]


@dataclass(frozen=True)
class Parallel:
    """A model as the processes of a run train it.

    Attributes:
        processes: This process among them.
        kind: How they share the model.
        whole: The model as it was given. With "fsdp2" its weights are those of the last `gather`.
        lm: The model whose parameters are trained: `whole` itself, or this process's part of a copy.
        module: What is called in a forward: `lm.module`, for "ddp" in its wrapper.
    """

    processes: Processes
    kind: Kind
    whole: HFModel
    lm: HFModel
    module: nn.Module

    def micro_step(self, *, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Return the context of a micro-batch; copies exchange gradients in the last alone."""
        if self.kind != "ddp" or last:
            return contextlib.nullcontext()
        waiting: contextlib.AbstractContextManager[Any] = self.module.no_sync()  # type: ignore[operator]
        return waiting

    def backward(self, loss: Tensor) -> None:
        """Differentiate this process's share of the step's loss; gradients become those of the sum."""
        if self.kind == "ddp":
            # Copies wait for every parameter's gradient, and terms on hidden states leave out what is behind
            # their layer; zero there lets weight decay alone move it.
            loss = loss + 0 * torch.stack([p.sum() for p in self.lm.trainable()]).sum()
        # DDP and FSDP2 average over processes.
        (loss * self.processes.count).backward()  # type: ignore[no-untyped-call] # torch

    def total(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Return the sums over all processes."""
        stacked = torch.stack([v.float() for v in values.values()])
        if self.kind != "single":
            torch.distributed.all_reduce(stacked)
        return dict(zip(values, stacked.tolist(), strict=True))

    def gather(self) -> HFModel:
        """Return `whole` with the weights as they are now, on its device; every process must call it."""
        if self.kind == "fsdp2":
            gather(self.lm.module, self.whole.module)
            self.whole.module.to(self.lm.device)
        return self.whole

    def leave(self) -> None:
        """Make room for steps after a `gather`."""
        if self.kind == "fsdp2":
            self.whole.module.to("cpu")


def asked_kind() -> Kind:
    """Return how the launcher wants the processes to share a model.

    Raises:
        InputError: It asks for something that isn't done here.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return "single"
    for name in ("DEEPSPEED", "MEGATRON_LM"):
        if _flag(f"ACCELERATE_USE_{name}"):
            raise InputError(
                f"The launcher asks for {name}; expected DDP or FSDP2, as in examples/accelerate/."
            )
    if not _flag("ACCELERATE_USE_FSDP"):
        return "ddp"
    if os.environ.get("FSDP_VERSION") != "2":
        raise InputError("The launcher asks for FSDP 1; write fsdp_version: 2 into its configuration file.")
    if _flag("FSDP_OFFLOAD_PARAMS"):
        raise InputError("Weights are not kept on the CPU between steps; write fsdp_offload_params: false.")
    if _flag("FSDP_ACTIVATION_CHECKPOINTING"):
        raise InputError("Write fsdp_activation_checkpointing: false, and add --checkpointing instead.")
    return "fsdp2"


def parallel(lm: HFModel) -> Parallel:
    """Return the model as the launcher wants it to be trained; what is frozen stays frozen.

    Raises:
        InputError: The launcher asks for something that isn't done here.
    """
    kind, processes = asked_kind(), started_processes()
    if kind == "single":
        return Parallel(processes, kind, lm, lm, lm.module)
    if kind == "ddp":
        device = [lm.device.index] if lm.device.type == "cuda" else None
        wrapper = nn.parallel.DistributedDataParallel(lm.module, device_ids=device, broadcast_buffers=False)
        return Parallel(processes, kind, lm, lm, wrapper)
    mine = sharded(lm, processes.count)
    return Parallel(processes, kind, lm, mine, mine.module)


def sharded(lm: HFModel, count: int) -> HFModel:
    """Return a copy of the model whose weights are divided among `count` processes; `lm` moves to the CPU.

    Each layer is gathered for its own forward and backward, embeddings, norm and head for the whole step.
    Weights, gradients and moments of a process are a `count`-th part, in float32.

    Raises:
        InputError: Its weights can't be divided.

    Source: fully sharded data parallel, Zhao et al., arXiv 2304.11277; torch's per-parameter form of it.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if any(not p.is_floating_point() for p in lm.module.parameters()):
        raise InputError("A model in 4 bits can't be divided among processes: use DDP, or drop --four-bit.")
    device = lm.device
    lm.module.to("cpu")
    mine = replace(lm, module=copy.deepcopy(lm.module))
    mesh = init_device_mesh(device.type, (count,))
    reshard = os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true") == "true"
    for layer in decoder_layers(mine.module.decoder):
        fully_shard(layer, mesh=mesh, reshard_after_forward=reshard)
    fully_shard(mine.module, mesh=mesh)
    return mine


@torch.no_grad()
def gather(part: nn.Module, whole: nn.Module) -> None:
    """Copy the trained weights of a divided model into a whole one; all processes must call it."""
    targets = dict(whole.named_parameters())
    for name, parameter in part.named_parameters():
        if parameter.requires_grad:
            targets[name].copy_(full(parameter.detach()))


def full(values: Tensor) -> Tensor:
    """Return a tensor as a whole, if it is divided among processes; all must call it."""
    from torch.distributed.tensor import DTensor

    return values.full_tensor() if isinstance(values, DTensor) else values


@torch.no_grad()
def fill(target: Tensor, values: Tensor) -> None:
    """Copy a whole tensor into one that may be divided among processes."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(target, DTensor):
        values = distribute_tensor(values.to(target.device), target.device_mesh, target.placements)
    target.copy_(values)


def _flag(name: str) -> bool:
    return os.environ.get(name, "false").lower() in ("true", "1")
