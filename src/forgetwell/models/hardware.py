"""What this machine computes with."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from forgetwell.errors import InputError

_NAMED = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class DtypeChoice:
    """The type of matrix products, with a sentence on why."""

    compute: torch.dtype
    reason: str


def pick_device() -> str:
    """Return ``cuda`` where there is a GPU, else ``cpu``; ``ACCELERATE_USE_CPU=true`` asks for the latter."""
    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("true", "1")
    return "cuda" if torch.cuda.is_available() and not on_cpu else "cpu"


def pick_dtype(dtype: str = "auto", device: str | None = None) -> DtypeChoice:
    """Choose the compute type; ``auto`` takes bfloat16 only where the processor multiplies in it.

    Without the instructions bfloat16 is several times slower than float32 on a CPU, and a GPU
    without them only emulates it. A launcher's ``mixed_precision: bf16`` goes before that.

    Args:
        dtype: ``auto``, ``float32`` or ``bfloat16``.
        device: Where the model computes, as torch names it; by default `pick_device`'s.

    Raises:
        InputError: The name is not auto, float32 or bfloat16, or the launcher asks for still another type.
    """
    if dtype in _NAMED:
        return DtypeChoice(_NAMED[dtype], "as asked for")
    if dtype != "auto":
        raise InputError(f"dtype is {dtype!r}; expected auto, float32 or bfloat16.")
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    if launched == "bf16":
        return DtypeChoice(torch.bfloat16, "as the launcher asks")
    if launched != "no":
        raise InputError(f"The launcher asks for mixed_precision: {launched}; expected bf16 or no.")
    kind = torch.device(device or pick_device()).type
    if kind == "cuda":
        fast, where = torch.cuda.is_bf16_supported(including_emulation=False), "this GPU"
    elif kind != "cpu":
        fast, where = False, f"{kind} as used here"
    else:
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        found = [getattr(torch.cpu, name, None) for name in checks]
        fast, where = any(check() for check in found if check), "this processor"
    if fast:
        return DtypeChoice(torch.bfloat16, f"{where} multiplies in bfloat16")
    return DtypeChoice(torch.float32, f"{where} has no bfloat16 instructions")
