"""Norms and MLPs of a decoder's layers that keep less for the backward pass.

Autograd keeps every step of a formula. Of an RMS norm that is its input and the normalized input, both in
float32, of a gated MLP both projections, the activated one and the product. Here a norm keeps the normalized
input and an MLP the projections, in the type of products; the rest is made again where it is needed, by
elementwise operations, with no further matrix product.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from forgetwell.models.generation import Decoder
from forgetwell.models.hidden import decoder_layers

_EPSILON = ("variance_epsilon", "eps")  # what classes of transformers call it


@contextlib.contextmanager
def lean_layers(decoder: Decoder, *, active: bool = True) -> Iterator[None]:
    """Let the layers' RMS norms and SiLU-gated MLPs keep about half as much, for the time inside.

    Values are the same to the bit; gradients are sums in another order. A module whose class computes
    something else, if only by another activation, is left as it is; so is every forward without gradients.
    """
    layers = decoder_layers(decoder) if active else ()
    swapped = [m for layer in layers for m in layer.modules() if _swap(m)]
    try:
        yield
    finally:
        for module in swapped:
            del module.forward


def _swap(module: nn.Module) -> bool:
    """Give a module its lean forward; say whether there is one. A forward that others put there stays."""
    if "forward" in vars(module):
        return False
    if _is_rms_norm(module):
        lean = _lean_norm(module)
    elif _is_gated_mlp(module):
        lean = _lean_mlp(module)
    else:
        return False
    plain = module.forward

    def forward(states: Tensor) -> Tensor:
        given: Tensor = (lean if torch.is_grad_enabled() else plain)(states)
        return given

    module.forward = forward
    return True


def _is_rms_norm(module: nn.Module) -> bool:
    """Say whether a module's class computes w · x / √(mean x² + ε), by trying it on another weight."""
    if not isinstance(getattr(module, "weight", None), Tensor) or _epsilon(module) is None:
        return False
    x, w = _numbers(3, 4), _numbers(4)
    expected = w * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 0.5))
    return _gives(module, SimpleNamespace(weight=w, **dict.fromkeys(_EPSILON, 0.5)), x, expected)


def _epsilon(module: nn.Module) -> float | None:
    found = (getattr(module, name, None) for name in _EPSILON)
    return next((value for value in found if isinstance(value, float)), None)


def _is_gated_mlp(module: nn.Module) -> bool:
    """Say whether a module's class computes down(silu(gate(x)) · up(x)), by trying it on others."""
    if {name for name, _ in module.named_children()} != {"gate_proj", "up_proj", "down_proj", "act_fn"}:
        return False
    x = _numbers(3, 4)
    tried = SimpleNamespace(
        gate_proj=lambda x: 2 * x, up_proj=lambda x: x + 3, down_proj=lambda x: x - 5, act_fn=module.act_fn
    )
    return _gives(module, tried, x, silu(2 * x) * (x + 3) - 5)


def _numbers(*shape: int) -> Tensor:
    return torch.linspace(-2, 3, torch.Size(shape).numel()).sin().view(shape)


@torch.no_grad()
def _gives(module: nn.Module, stand_in: SimpleNamespace, x: Tensor, expected: Tensor) -> bool:
    """Say whether the class's forward, with a stand-in for the module, gives what is expected."""
    try:
        found = type(module).forward(stand_in, x)
    except (AttributeError, TypeError, RuntimeError):
        return False
    return isinstance(found, Tensor) and found.shape == x.shape and torch.allclose(found, expected)


def _lean_norm(module: Any) -> Callable[[Tensor], Tensor]:  # noqa: ANN401 - any norm's
    epsilon = _epsilon(module)

    def forward(states: Tensor) -> Tensor:
        normed: Tensor = _RmsNorm.apply(states, module.weight, epsilon)  # type: ignore[no-untyped-call] # torch
        return normed

    return forward


def _lean_mlp(module: Any) -> Callable[[Tensor], Tensor]:  # noqa: ANN401 - any MLP's
    def forward(states: Tensor) -> Tensor:
        gate, up, down = module.gate_proj(states), module.up_proj(states), module.down_proj
        if gate.dtype is not up.dtype:
            return down(silu(gate) * up)  # type: ignore[no-any-return] # only one has an adapter
        if type(down) is not nn.Linear or not down.weight.requires_grad:
            return down(_Gated.apply(gate, up))  # type: ignore[no-any-return, no-untyped-call] # torch
        weight, bias = (None if p is None else p.to(gate.dtype) for p in (down.weight, down.bias))
        projected: Tensor = _GatedDown.apply(gate, up, weight, bias)  # type: ignore[no-untyped-call] # torch
        return projected

    return forward


class _RmsNorm(torch.autograd.Function):
    """w · x / √(mean x² + ε) in float32; keeps 1/√ and x/√, this in the type of products.

    The projections that read a norm keep its output in that type as well: gradients are as exact as theirs.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:  # noqa: ANN401 - torch's
        wide, kind = x.float(), x.device.type
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
        normed = (wide * scale).to(x.dtype)
        compute = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        ctx.save_for_backward(normed.to(compute), weight, scale)
        ctx.dtype = x.dtype
        return weight * normed

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's
        normed, weight, scale = ctx.saved_tensors
        above = grads[0].float()
        product = (above * normed).flatten(0, -2)
        shared = torch.mv(product, weight.float()).view_as(scale) / len(weight)
        to_weight = product.sum(0).to(weight.dtype) if ctx.needs_input_grad[1] else None
        to_x = (above * weight).addcmul_(normed, shared, value=-1).mul_(scale)
        return to_x.to(ctx.dtype), to_weight, None


class _Gated(torch.autograd.Function):
    """silu(gate) · up; keeps gate and up."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:  # noqa: ANN401 - torch's
        ctx.save_for_backward(gate, up)
        return silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401 - torch's
        gate, up = ctx.saved_tensors
        return torch.ops.aten.silu_backward(grads[0] * up, gate), grads[0] * silu(gate)


class _GatedDown(torch.autograd.Function):
    """(silu(gate) · up) Wᵀ + b; keeps gate, up and W."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: ANN401 - torch's
        ctx.save_for_backward(gate, up, weight)
        return linear(silu(gate).mul_(up), weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401 - torch's
        gate, up, weight = ctx.saved_tensors
        above, activated = grads[0].flatten(0, -2), silu(gate)
        to_weight = above.T @ (activated * up).flatten(0, -2)
        to_product = (above @ weight).view_as(gate)
        to_up = activated.mul_(to_product)
        to_gate = torch.ops.aten.silu_backward(to_product.mul_(up), gate)
        return to_gate, to_up, to_weight, above.sum(0) if ctx.needs_input_grad[3] else None
