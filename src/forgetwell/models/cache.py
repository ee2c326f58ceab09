"""A cache of keys and values with room to grow. Imported where it is used: it loads transformers."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 16  # tokens for which memory is asked at a time


class RoomyLayer(DynamicLayer):  # type: ignore[misc] # transformers is untyped
    """A layer of a cache that has room for some more tokens: transformers' own copies all for each token."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        """Begin with the keys and values (B, H, S, d) of the prompts."""
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self._held: tuple[Tensor, Tensor] | None = None

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        *_: Any,  # noqa: ANN401 - what transformers' layers take
        **__: Any,  # noqa: ANN401
    ) -> tuple[Tensor, Tensor]:
        """Add tokens; return all keys and values, which share memory with the cache."""
        start, end = self.keys.shape[2], self.keys.shape[2] + key_states.shape[2]
        if self._held is None or end > self._held[0].shape[2]:
            self._held = (_with_room(self.keys, end + ROOM), _with_room(self.values, end + ROOM))
        for held, new in zip(self._held, (key_states, value_states), strict=True):
            held[:, :, start:end] = new
        self.keys, self.values = (held[:, :, :end] for held in self._held)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows."""
        super().batch_select_indices(indices)
        self._held = None


def roomy_cache(states: list[tuple[Tensor, Tensor]]) -> Cache:
    """Return a cache of each layer's keys and values (B, H, S, d); off the CPU one of transformers' own."""
    if states[0][0].device.type != "cpu":
        return DynamicCache(states)
    return Cache(layers=[RoomyLayer(keys, values) for keys, values in states])


def _with_room(states: Tensor, length: int) -> Tensor:
    held = states.new_empty(states.shape[0], states.shape[1], length, states.shape[3])
    held[:, :, : states.shape[2]] = states
    return held
