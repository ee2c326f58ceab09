"""The layers of a decoder: reading their outputs, recomputing instead of keeping them, casting norms once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from forgetwell.errors import InputError
from forgetwell.models.generation import Decoder


def decoder_layers(decoder: Decoder) -> Sequence[nn.Module]:
    """Return the layers of the body, first to last.

    Raises:
        InputError: The model doesn't have them as one list.
    """
    # Models that also read images keep the text's settings apart.
    body, count = decoder.plain.get_decoder(), decoder.plain.config.get_text_config().num_hidden_layers
    lists = (m for m in body.modules() if isinstance(m, nn.ModuleList) and len(m) == count)
    found = next(lists, None)
    if found is None:
        raise InputError(f"{type(decoder.plain).__name__} has no list of {count} layers that could be read.")
    return list(found)


@contextlib.contextmanager
def reading_layers(decoder: Decoder, layers: Sequence[int]) -> Iterator[dict[int, Tensor]]:
    """Collect the outputs (P, T, D) of some layers during the forwards inside; nothing is done for none.

    Raises:
        InputError: The model has no such layer.
    """
    found: dict[int, Tensor] = {}
    handles = []
    modules = decoder_layers(decoder) if layers else ()
    for layer in layers:
        if not 0 <= layer < len(modules):
            raise InputError(f"layer={layer} was given; this model has layers 0 to {len(modules) - 1}.")
        handles.append(modules[layer].register_forward_hook(_keep(found, layer)))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _keep(found: dict[int, Tensor], layer: int) -> Callable[[nn.Module, Any, Any], None]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ANN401 - any layer's
        found[layer] = output[0] if isinstance(output, tuple) else output

    return hook


@contextlib.contextmanager
def recomputing_layers(decoder: Decoder, *, active: bool = True) -> Iterator[None]:
    """Keep only the inputs of layers for the backward pass, and compute the rest again there.

    Gradients are exact. Unlike transformers' own switch it also works in eval mode, in which models are
    trained here (no dropout), and with adapters on a frozen base.

    Source: Chen et al., arXiv 1604.06174.
    """
    layers = decoder_layers(decoder) if active else ()
    for layer in layers:
        layer.forward = _recomputed(layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - any layer's
        if not torch.is_grad_enabled():
            return forward(*arguments, **named)
        # Nothing is random in eval mode, so no generator state needs to be kept.
        return checkpoint(forward, *arguments, use_reentrant=False, preserve_rng_state=False, **named)

    return run


@contextlib.contextmanager
def casting_norms(decoder: Decoder, compute: torch.dtype) -> Iterator[None]:
    """Give the outputs of each layer's norms in the compute type, for the time inside.

    The projections that read a norm's output then share one cast of it, where autocast makes and keeps one
    for each. Their products are the same; gradients of the several are summed in the compute type.
    """
    layers = [] if compute is torch.float32 else decoder_layers(decoder)
    norms = [m for layer in layers for m in layer.children() if type(m).__name__.endswith("Norm")]
    handles = [norm.register_forward_hook(_cast(compute)) for norm in norms]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _cast(compute: torch.dtype) -> Callable[[nn.Module, Any, Any], Tensor]:
    def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:  # noqa: ANN401 - any norm's
        return output.to(compute)

    return hook
