"""Checkpoints from which an interrupted run goes on to the identical result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from forgetwell.errors import InputError
from forgetwell.files import atomic_path
from forgetwell.training.best import Best


def save_checkpoint(
    path: Path,
    key: str,
    step: int,
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    best: Best | None = None,
) -> None:
    """Write weights in training, optimizer state, finished steps and the best probe, whole or not at all."""
    weights = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}
    state = {"key": key, "step": step, "weights": weights, "optimizer": optimizer.state_dict()}
    if best is not None:
        state["best"] = best.state()
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(
    path: Path, key: str, module: nn.Module, optimizer: torch.optim.Optimizer, best: Best | None = None
) -> int:
    """Restore a checkpoint and return the number of finished steps (0 where there is none).

    Raises:
        InputError: It is from a run with other settings, or damaged.
    """
    if not path.exists():
        return 0
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found, step, weights = state["key"], int(state["step"]), state["weights"]
    except Exception as error:  # torch raises many kinds for a damaged archive
        raise InputError(f"The checkpoint {path} can't be read ({error}); start anew.") from error
    if found != key:
        raise InputError(
            f"The checkpoint {path} is from a run with other rows or settings; resume with the same "
            "command, or start anew with --overwrite."
        )
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(weights[name])
    optimizer.load_state_dict(state["optimizer"])
    if best is not None:
        best.load(state["best"])
    return step
