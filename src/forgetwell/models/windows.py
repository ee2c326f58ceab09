"""Attention over tries in windows, for training on the CPU: a run of nodes meets only what it may attend to.

A trie's nodes stand in depth-first order, so what the nodes of a window may attend to is in the window
itself or among the ancestors of its first node: a window of L nodes meets at most L plus the longest row,
where dense attention meets the whole trie. Keys and values are gathered once a window, and products are
batched over windows. The sums are those of dense attention in another order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.nn.functional import pad

from forgetwell.models.decoding import attend_once

NAME = "forgetwell_windows"
LENGTH = 64
MOST = 256  # nodes that a window meets; with more, probabilities take more memory than they save time
WORTH = 0.7  # share of dense attention's pairs above which gathering costs more than it saves


@dataclass(frozen=True)
class Windows:
    """The windows of P tries of T nodes, W each.

    Attributes:
        places: Flat index (P·W·S,) into P·T of the nodes that each window meets.
        bias: 0 where a node may attend, else -inf (P·W, 1, 1, L, S).
        home: 1 where a window's node is a trie's (P, T, W·S): sums gradients of a node over windows.
    """

    places: Tensor
    bias: Tensor
    home: Tensor

    @property
    def pairs(self) -> int:
        """Pairs of nodes for which a score is computed."""
        return self.bias.numel()


def with_windows(additive: Tensor, mask: Tensor) -> Tensor:
    """Return a mask for the network, with the windows of the tries it is of, if there are any.

    Without gradients there are none: torch's fused kernel is as fast there, and saves nothing either.
    """
    if not torch.is_grad_enabled():
        return additive
    kind = mask.device.type
    compute = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else torch.float32
    additive.windows = windows_of(mask, compute)  # type: ignore[attr-defined] # it goes along with the tensor
    return additive


def windows_of(mask: Tensor, compute: torch.dtype = torch.float32) -> Windows | None:
    """Return the windows of tries, or None where dense attention is at least as good.

    Args:
        mask: True where node i may attend to node j (P, T, T); each node to itself.
        compute: Type of products.
    """
    tries, width, _ = mask.shape
    if mask.device.type != "cpu" or width <= LENGTH:
        return None
    count = -(-width // LENGTH)
    rows = pad(mask, (0, 0, 0, count * LENGTH - width))
    rows[:, width:, 0] = True  # nodes that fill the last window attend to something, and are dropped
    rows = rows.view(tries * count, LENGTH, width)
    met = rows.any(1)
    most = int(met.sum(1).max())
    if most > MOST or count * LENGTH * most > WORTH * width * width:
        return None
    places = met.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    allowed = rows.gather(2, places[:, None].expand(-1, LENGTH, -1))
    bias = torch.zeros(allowed.shape).masked_fill_(~allowed, float("-inf"))[:, None, None]
    home = torch.zeros(tries, width, count * most, dtype=compute)
    home.scatter_(1, places.reshape(tries, 1, -1), 1)
    first = width * torch.arange(tries).repeat_interleave(count)
    return Windows((places + first[:, None]).flatten(), bias, home)


def windowed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **options: Any,  # noqa: ANN401 - what transformers gives its own
) -> tuple[Tensor, None]:
    """Attend in the windows that come with the mask (as `windows`), else as transformers' "sdpa" does.

    Single queries of a decoding step are attended to by `attend_once`.

    Its shapes are those of transformers' attention functions: query (P, H, T, d), key and value (P, K, T, d),
    result (P, T, H, d).
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    windows: Windows | None = getattr(attention_mask, "windows", None)
    plain = not options.get("dropout") and all(options.get(k) is None for k in ("position_bias", "softcap"))
    if attention_mask is not None and plain and _is_one_query(query, attention_mask):
        scale = options.get("scaling") or query.shape[-1] ** -0.5
        return attend_once(query, key, value, attention_mask, scale), None
    unlike = query.shape[2] != key.shape[2] or key.shape[3] != value.shape[3]
    if windows is None or unlike or not plain:
        dense: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return dense
    kind = query.device.type
    compute = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype
    scale = options.get("scaling") or query.shape[-1] ** -0.5
    with torch.autocast(kind, enabled=False):
        inputs = (query * scale).to(compute), key.to(compute), value.to(compute)
        attended: Tensor = _Windowed.apply(*inputs, windows)  # type: ignore[no-untyped-call] # torch
    return attended.transpose(1, 2).contiguous(), None


def _is_one_query(query: Tensor, mask: Tensor) -> bool:
    """Say whether every row asks for one token, as in decoding on the CPU."""
    one = query.shape[2] == 1 and mask.shape[:3] == (query.shape[0], 1, 1)
    return one and query.device.type == "cpu" and mask.is_floating_point() and not torch.is_grad_enabled()


def use_windows(network: Any) -> None:  # noqa: ANN401 - any causal LM
    """Let a network attend in windows wherever a mask brings them, if it attends as "sdpa" does."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if network.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(NAME, windowed_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    network.set_attn_implementation(NAME)


def uses_windows(network: Any) -> bool:  # noqa: ANN401 - any causal LM
    """Say whether a forward of a network now would attend in windows."""
    return torch.is_grad_enabled() and bool(network.config._attn_implementation == NAME)


class _Windowed(torch.autograd.Function):
    """softmax(q kᵀ) v in windows; scores and probabilities in float32, products in the type of the inputs."""

    @staticmethod
    def forward(ctx: FunctionCtx, query: Tensor, key: Tensor, value: Tensor, windows: Windows) -> Tensor:
        tries, heads, width, _ = query.shape
        own = _cut(query, key.shape[1])
        both = torch.cat([key, value], -1).transpose(1, 2).reshape(tries * width, -1)
        keys, values = _met(both, windows, key.shape[1])
        scores = torch.bmm(own.float(), keys.float().transpose(1, 2))
        shape = (len(windows.bias), key.shape[1], -1, *windows.bias.shape[-2:])
        chances = scores.view(shape).add_(windows.bias).softmax(-1).view(scores.shape).to(value.dtype)
        ctx.save_for_backward(own, both, chances)  # keys and values that windows share are kept once
        ctx.windows, ctx.shape = windows, (tries, heads, width, key.shape[1])  # type: ignore[attr-defined]
        return _joined(torch.bmm(chances, values), tries, heads, width)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401 - torch's
        own, both, chances = ctx.saved_tensors
        tries, heads, width, groups = ctx.shape
        keys, values = _met(both, ctx.windows, groups)
        above = _cut(gradient.to(own.dtype), groups)
        to_chances = torch.bmm(above, values.transpose(1, 2))
        to_scores = torch._softmax_backward_data(to_chances, chances, -1, chances.dtype)
        to_query = _joined(torch.bmm(to_scores, keys), tries, heads, width)
        to_both = torch.bmm(to_scores.transpose(1, 2), own), torch.bmm(chances.transpose(1, 2), above)
        met = torch.cat(to_both, -1).view(tries, -1, groups, keys.shape[1], 2 * keys.shape[2])
        met = met.transpose(2, 3).reshape(tries, -1, groups * met.shape[-1])
        summed = torch.bmm(ctx.windows.home.to(met.dtype), met).view(tries, width, groups, -1)
        to_key, to_value = summed.transpose(1, 2).chunk(2, -1)
        return to_query, to_key, to_value, None


def _met(both: Tensor, windows: Windows, groups: int) -> tuple[Tensor, Tensor]:
    """Return the keys and values (P·W·K, S, d) that each window meets, of (P·T, K·2d), keys first."""
    met = both.index_select(0, windows.places).view(len(windows.bias), -1, groups, both.shape[1] // groups)
    keys, values = met.transpose(1, 2).flatten(0, 1).chunk(2, -1)
    return keys, values


def _cut(states: Tensor, groups: int) -> Tensor:
    """Return (P·W·K, H/K·L, d), the windows of (P, H, T, d); heads that share keys stand together."""
    tries, heads, width, size = states.shape
    count = -(-width // LENGTH)
    filled = pad(states, (0, 0, 0, count * LENGTH - width))
    apart = filled.view(tries, groups, heads // groups, count, LENGTH, size).permute(0, 3, 1, 2, 4, 5)
    return apart.reshape(tries * count * groups, -1, size)


def _joined(windows: Tensor, tries: int, heads: int, width: int) -> Tensor:
    """Undo `_cut`: return (P, H, T, d)."""
    count = -(-width // LENGTH)
    groups = len(windows) // (tries * count)
    apart = windows.view(tries, count, groups, heads // groups, LENGTH, -1).permute(0, 2, 3, 1, 4, 5)
    return apart.reshape(tries, heads, count * LENGTH, -1)[:, :, :width]
