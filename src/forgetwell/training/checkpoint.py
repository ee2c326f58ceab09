"""Checkpoints from which an interrupted run goes on to the identical result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from forgetwell.errors import InputError
from forgetwell.files import atomic_path
from forgetwell.training.best import Best
from forgetwell.training.parallel import fill, full
from forgetwell.training.stopping import Probing


def save_checkpoint(
    path: Path,
    key: str,
    step: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    duals: Mapping[str, float],
    probing: Probing,
    best: Best | None = None,
    *,
    first: bool = True,
) -> None:
    """Write weights in training, optimizer, duals, finished steps and what probes said, whole or not at all.

    Every process must call it; the first one writes. Tensors that are divided among processes are written as
    a whole, so that a run may go on with another number of them.

    Raises:
        WriteFailed: The disk refused; an earlier checkpoint is still there.
    """
    weights = {n: full(p.detach()) for n, p in module.named_parameters() if p.requires_grad}
    moments = optimizer.state_dict()
    moments["state"] = {i: _each(full, values) for i, values in moments["state"].items()}
    if not first:
        return
    state = {"key": key, "step": step, "weights": weights, "optimizer": moments, "duals": dict(duals)}
    state["probing"] = probing.state()
    if best is not None:
        state["best"] = best.state()
    with atomic_path(path) as temporary:
        try:
            torch.save(state, temporary)
        except RuntimeError as error:  # by which torch says that the disk refused
            raise OSError(f"{str(error).splitlines()[0]} (is the disk full?)") from error


def _each(change: Callable[[Tensor], Tensor], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: change(v) if isinstance(v, Tensor) else v for name, v in values.items()}


def load_checkpoint(
    path: Path,
    key: str,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    duals: dict[str, float],
    probing: Probing,
    best: Best | None = None,
) -> int:
    """Restore a checkpoint, also into `duals`, `probing` and `best`; return the finished steps (0 if none).

    Raises:
        InputError: It is from a run with other settings, or damaged.
    """
    if not path.exists():
        return 0
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found, step, weights = state["key"], int(state["step"]), state["weights"]
        kept, probes = dict(state["duals"]), state["probing"]
    except Exception as error:  # torch raises many kinds for a damaged archive
        raise InputError(f"The checkpoint {path} can't be read ({error}); start anew.") from error
    if found != key:
        raise InputError(
            f"The checkpoint {path} is from a run with other rows or settings, or in another compute type "
            "(--dtype); resume with the same command, or start anew with --overwrite."
        )
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            fill(parameter, weights[name])
    _load_moments(optimizer, state["optimizer"])
    duals.update(kept)
    probing.load(probes)
    if best is not None:
        best.load(state["best"])
    return step


def _load_moments(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load an optimizer's state, divided among processes as its parameters are."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for i, values in state["state"].items():
        state["state"][i] = _each(partial(_like, parameters[i]), values)
    optimizer.load_state_dict(state)


def _like(parameter: Tensor, values: Tensor) -> Tensor:
    if values.shape != parameter.shape:
        return values  # the count of steps
    made = torch.zeros_like(parameter)
    fill(made, values)
    return made
