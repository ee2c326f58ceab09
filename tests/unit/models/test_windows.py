"""Attention in windows is dense attention over the same tries."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tiny import tiny_lm
from torch.nn.functional import scaled_dot_product_attention

from forgetwell.models.hidden import recomputing_layers
from forgetwell.models.packing import PACK_TOKENS, pack
from forgetwell.models.windows import LENGTH, MOST, uses_windows, windowed_attention, windows_of, with_windows
from forgetwell.types import Encoded, Row

ROWS = tuple(Row(f"r{i}", f"Where is {i} and {i % 5}?", f"In town {i * 7} " * (1 + i % 3)) for i in range(30))


def some_trie(seed, rows=24, longest=40, limit=1024):
    stream = random.Random(seed)
    starts = [[stream.randrange(9) for _ in range(longest)] for _ in range(4)]
    made = []
    for _ in range(rows):
        ids = stream.choice(starts)[: stream.randint(1, longest - 2)]
        made.append(Encoded((*ids, stream.randrange(9), stream.randrange(9)), 1))
    return pack(made, limit=limit)


def states(mask, dtype):
    torch.manual_seed(0)
    tries, width, _ = mask.shape
    shapes = [(tries, 6, width, 8), (tries, 2, width, 8), (tries, 2, width, 8)]
    return [torch.randn(s, dtype=dtype).requires_grad_() for s in shapes]


def dense(query, key, value, mask):
    wide = (x.repeat_interleave(3, 1) for x in (key, value))
    return scaled_dot_product_attention(query, *wide, attn_mask=mask[:, None])


def windowed(query, key, value, mask):
    additive = with_windows(torch.zeros(mask.shape)[:, None], mask)
    assert additive.windows is not None
    return windowed_attention(torch.nn.Module(), query, key, value, additive)[0].transpose(1, 2)


def values_and_gradients(attend, mask, dtype):
    inputs = states(mask, dtype)
    out = attend(*inputs, mask)
    torch.manual_seed(1)
    out.backward(torch.randn(out.shape).to(dtype))
    return [x.detach().double() for x in (out, *(x.grad for x in inputs))]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_values_and_gradients_are_those_of_dense_attention(seed):
    for limit in (1024, 300):
        mask = some_trie(seed, rows=30, limit=limit).mask
        if windows_of(mask) is not None:
            found = (values_and_gradients(attend, mask, torch.float32) for attend in (dense, windowed))
            for a, b in zip(*found, strict=True):
                assert torch.allclose(a, b, atol=1e-5, rtol=1e-4)


def test_what_windows_share_is_kept_once():
    """Queries, filled up to whole windows, keys and values of each node, and probabilities."""
    mask = some_trie(3).mask
    windows = windows_of(mask)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        windowed(*states(mask, torch.float32), mask)
    tries, width, _ = mask.shape
    filled = -(-width // LENGTH) * LENGTH
    assert sorted(kept)[-3:] == sorted([tries * filled * 6 * 8, tries * width * 2 * 16, 6 * windows.pairs])


def test_in_bfloat16_windows_are_as_near_the_exact_values_as_dense_attention():
    mask = some_trie(3).mask
    exact = values_and_gradients(dense, mask, torch.float32)
    found = (values_and_gradients(attend, mask, torch.bfloat16) for attend in (dense, windowed))
    for true, a, b in zip(exact, *found, strict=True):
        assert float((b - true).norm()) < 1.5 * float((a - true).norm())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(10, 60))
def test_a_window_meets_at_most_itself_and_the_longest_row(seed, longest):
    packed = some_trie(seed, longest=longest)
    windows = windows_of(packed.mask)
    if windows is not None:
        assert windows.bias.shape[-1] <= LENGTH + longest
        assert windows.pairs < packed.mask.numel()


def test_long_rows_and_small_tries_are_left_to_dense_attention():
    small = pack([Encoded((1, 2, 3), 1), Encoded((1, 2, 4), 1)])
    long = pack([Encoded(tuple(range(MOST + LENGTH)), 1)])
    assert windows_of(small.mask) is None
    assert windows_of(long.mask) is None


def test_tries_of_long_rows_stay_small():
    rows = [Encoded((k, *range(200)), 1) for k in range(4)]
    assert pack(rows, limit=1024).ids.shape[0] == len(rows)
    short = [Encoded((k, *range(100)), 1) for k in range(8)]
    assert pack(short, limit=1024).ids.shape[1] > PACK_TOKENS


@pytest.mark.parametrize("recompute", [False, True])
def test_a_model_gives_the_same_log_probabilities_and_gradients(recompute):
    found = []
    for kind in (None, "sdpa"):
        lm = tiny_lm()
        assert uses_windows(lm.module.network)
        batch = lm.batch([lm.codec.encode(row) for row in ROWS])
        assert windows_of(batch.mask) is not None
        if kind:
            lm.module.network.set_attn_implementation(kind)
        with recomputing_layers(lm.module.decoder, active=recompute):
            values = lm.module(batch, False)
            values.sum().backward()
        found.append([values.detach(), *(p.grad for p in lm.module.parameters())])
    for a, b in zip(*found, strict=True):
        assert float((a - b).norm()) <= 1e-5 * float(b.norm()) + 1e-6


def test_a_saved_model_attends_as_ever(tmp_path):
    lm = tiny_lm()
    lm.save(tmp_path / "model")
    assert "windows" not in (tmp_path / "model" / "config.json").read_text()
