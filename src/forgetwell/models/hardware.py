"""What this machine computes with."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from forgetwell.errors import InputError

_NAMED = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_CLOCK = time.perf_counter if sys.platform == "win32" else time.thread_time  # Windows counts that in 1/64 s


@dataclass(frozen=True)
class DtypeChoice:
    """The type of matrix products, with a sentence on why."""

    compute: torch.dtype
    reason: str

    def __str__(self) -> str:
        return f"{type_name(self.compute)}: {self.reason}"


def type_name(compute: torch.dtype) -> str:
    """Return a compute type as users write it: ``float32``."""
    return str(compute).removeprefix("torch.")


def pick_device() -> str:
    """Return ``cuda`` where there is a GPU, else ``cpu``; ``ACCELERATE_USE_CPU=true`` asks for the latter."""
    on_cpu = os.environ.get("ACCELERATE_USE_CPU", "false").lower() in ("true", "1")
    return "cuda" if torch.cuda.is_available() and not on_cpu else "cpu"


def pick_dtype(dtype: str = "auto", device: str | None = None) -> DtypeChoice:
    """Choose the compute type; ``auto`` takes bfloat16 only where products are faster in it.

    Without the instructions bfloat16 is several times slower than float32 on a CPU, and a GPU
    without them only emulates it. With AVX512-BF16 alone it depends on the processor, so that is measured
    (`bfloat16_gain`); with matrix units (AMX) it is always faster. A launcher's ``mixed_precision: bf16``
    goes before all that.

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
    if kind == "cpu":
        return _of_processor()
    if kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return DtypeChoice(torch.bfloat16, "this GPU multiplies in bfloat16")
    where = "this GPU" if kind == "cuda" else f"{kind} as used here"
    return DtypeChoice(torch.float32, f"{where} has no bfloat16 instructions")


def _of_processor() -> DtypeChoice:
    if _has("_is_amx_tile_supported"):
        return DtypeChoice(torch.bfloat16, "this processor has matrix units for bfloat16")
    if not _has("_is_avx512_bf16_supported"):
        return DtypeChoice(torch.float32, "this processor has no bfloat16 instructions")
    gain = bfloat16_gain()
    compute = torch.bfloat16 if gain > 1 else torch.float32
    return DtypeChoice(compute, f"this processor multiplies {gain:.1f} times as fast in bfloat16")


def _has(check: str) -> bool:
    found = getattr(torch.cpu, check, None)  # private in torch: absent where it was renamed
    return bool(found and found())


@functools.cache
def bfloat16_gain() -> float:
    """Return how many times as fast this processor multiplies matrices in bfloat16 as in float32.

    Best of nine products each, taken in turns, of shapes that small models have, on one thread and by its
    processor time. By the clock other work on the cores decides, and so it does on several threads: one that
    waits for another spins, which counts as work. Then a run would be resumed in another type. Below 1 are
    virtual machines that hide a Xeon's matrix units (.5 to .8); by the instructions' width it would be 2.
    """
    shapes = ((256, 576), (576, 1536))
    pairs = {dtype: [torch.ones(s, dtype=dtype) for s in shapes] for dtype in _NAMED.values()}
    best = dict.fromkeys(pairs, float("inf"))
    with _one_thread():
        for _ in range(1 + 9):  # the first makes the kernels, and is slower
            for dtype, (left, right) in pairs.items():
                start = _CLOCK()
                left @ right
                best[dtype] = min(best[dtype], _CLOCK() - start)
    return best[torch.float32] / best[torch.bfloat16]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
