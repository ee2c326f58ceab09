"""Many rows as few sequences: every shared prefix is computed once.

The rows of a batch are sorted and merged into a prefix trie. The trie's nodes, in depth-first order, form
one sequence in which each token attends to its ancestors alone and has the position of its depth. So the
system prompt, a question shared by several answers, or a forget prompt shared by the forget and the scope
view costs one computation, no padding is computed, and gradients are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from forgetwell.types import Encoded

PACK_TOKENS = 256
SHORT = 192  # longest row of a trie that may grow beyond that, where attention is windowed


@dataclass(frozen=True)
class Packed:
    """A batch ready for the model.

    Attributes:
        ids: Token ids (P, T); P sequences padded to the longest.
        positions: Depth of each token in its row (P, T).
        mask: True where token i may attend to token j (P, T, T).
        source: Flat index (N,) into P·T of the token whose output predicts each scored token.
        labels: The scored tokens (N,), rows in the order given, tokens in order.
        row: Row of each scored token (N,).
        rows: Number of rows B.
        last: Flat index (B,) of each row's last token.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    source: Tensor
    labels: Tensor
    row: Tensor
    rows: int
    last: Tensor

    def to(self, device: torch.device) -> Packed:
        """Return the batch on `device`."""
        return Packed(
            self.ids.to(device),
            self.positions.to(device),
            self.mask.to(device),
            self.source.to(device),
            self.labels.to(device),
            self.row.to(device),
            self.rows,
            self.last.to(device),
        )


@dataclass
class _Pack:
    """One sequence under construction; `path` holds the nodes of the row added last."""

    ids: list[int]
    depth: list[int]
    ancestors: list[list[int]]
    path: tuple[int, ...] = ()

    def add(self, row: tuple[int, ...], shared: int) -> tuple[int, ...]:
        nodes = list(self.path[:shared])
        for depth in range(shared, len(row)):
            nodes.append(len(self.ids))
            self.ids.append(row[depth])
            self.depth.append(depth)
            self.ancestors.append(list(nodes))
        self.path = tuple(nodes)
        return self.path


def pack(rows: Sequence[Encoded], *, limit: int = PACK_TOKENS) -> Packed:
    """Merge rows into tries of at most `limit` tokens each; more where long rows share most of themselves.

    A trie with a row of more than `SHORT` tokens has at most `PACK_TOKENS` even where the limit is higher.
    Tries are about equally large, since all are padded to the largest.
    """
    order = sorted(range(len(rows)), key=lambda i: rows[i].ids)
    shared = [0, *(shared_prefix(rows[a].ids, rows[b].ids) for a, b in pairwise(order))]
    packs: list[_Pack] = []
    places: list[tuple[int, tuple[int, ...]]] = [(0, ())] * len(rows)
    for part in _divided([len(rows[i].ids) for i in order], shared, limit):
        packs.append(_Pack([], [], []))
        for place in part.places:
            begun = shared[place] if packs[-1].ids else 0
            places[order[place]] = (len(packs) - 1, packs[-1].add(rows[order[place]].ids, begun))
    return _tensors(rows, packs, places)


@dataclass(frozen=True)
class _Part:
    """Places of sorted rows that go into one trie, and its tokens."""

    places: range
    size: int


def _divided(lengths: Sequence[int], shared: Sequence[int], limit: int) -> list[_Part]:
    """Divide sorted rows into tries so that few tokens are computed, those that fill up the smaller included.

    Filled to the limit one after the other, 1,100 tokens would be a trie of 1,000 and one of 100 that is
    padded to as many. So lower limits are tried, down to even shares.
    """
    full = _cut(lengths, shared, limit)
    even = -(-sum(part.size for part in full) // max(1, len(full)))
    lower = [
        _cut(lengths, shared, size) for size in (even, even + even // 8, even + even // 4) if size < limit
    ]
    return min([full, *lower], key=lambda parts: len(parts) * max((p.size for p in parts), default=0))


def _cut(lengths: Sequence[int], shared: Sequence[int], limit: int) -> list[_Part]:
    """Fill tries one after the other."""
    parts: list[_Part] = []
    longest = 0
    for place, (row, known) in enumerate(zip(lengths, shared, strict=True)):
        longest = max(longest, row)
        if parts and _fits(parts[-1].size, longest, row, known, limit):
            last = parts[-1]
            parts[-1] = _Part(range(last.places.start, place + 1), last.size + row - known)
        else:
            longest = row
            parts.append(_Part(range(place, place + 1), row))
    return parts


def _fits(held: int, longest: int, row: int, shared: int, limit: int) -> bool:
    """Say whether a trie may take a row of so many tokens, some of which it shares with it.

    Beyond the limit attention to other rows' tokens costs more than it saves, unless most of a long row is
    there already, as with solved examples before every question.
    """
    size = held + row - shared
    most = limit if longest <= SHORT else min(limit, PACK_TOKENS)
    return size <= most or (2 * shared >= row and size <= 3 * row)


def pad(rows: Sequence[Encoded]) -> Packed:
    """Put each row in a sequence of its own, for models that can't read a packed mask."""
    packs = [_Pack([], [], []) for _ in rows]
    places = [(i, packs[i].add(row.ids, 0)) for i, row in enumerate(rows)]
    return _tensors(rows, packs, places)


def shared_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many tokens two sequences share from the start."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


def _tensors(
    rows: Sequence[Encoded], packs: list[_Pack], places: list[tuple[int, tuple[int, ...]]]
) -> Packed:
    width = max(len(p.ids) for p in packs)
    ids = torch.zeros(len(packs), width, dtype=torch.long)
    positions = torch.zeros(len(packs), width, dtype=torch.long)
    mask = torch.eye(width, dtype=torch.bool).repeat(len(packs), 1, 1)
    for i, p in enumerate(packs):
        ids[i, : len(p.ids)] = torch.tensor(p.ids)
        positions[i, : len(p.ids)] = torch.tensor(p.depth)
        for node, ancestors in enumerate(p.ancestors):
            mask[i, node, ancestors] = True
    source: list[int] = []
    labels: list[int] = []
    row: list[int] = []
    last: list[int] = []
    for b, ((i, path), encoded) in enumerate(zip(places, rows, strict=True)):
        source += [i * width + n for n in path[encoded.start - 1 : -1]]
        labels += encoded.ids[encoded.start :]
        row += [b] * (len(encoded.ids) - encoded.start)
        last.append(i * width + path[-1])
    as_tensor = torch.tensor
    return Packed(
        ids,
        positions,
        mask,
        as_tensor(source, dtype=torch.long),
        as_tensor(labels, dtype=torch.long),
        as_tensor(row, dtype=torch.long),
        len(rows),
        as_tensor(last),
    )
