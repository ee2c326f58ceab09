import pytest
import torch
from transformers import DynamicCache

from forgetwell.models.cache import ROOM, roomy_cache
from forgetwell.models.decoding import attend_once
from forgetwell.models.windows import windowed_attention


def states(rows, heads, length, width, *, seed=0):
    return torch.randn(rows, heads, length, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shared", [1, 2, 6])
def test_one_query_is_weighed_by_softmax_over_what_it_may_see(shared):
    query, key, value = states(3, 6, 1, 4), states(3, shared, 5, 4, seed=1), states(3, shared, 5, 4, seed=2)
    mask = torch.zeros(3, 1, 1, 5)
    mask[1, ..., :2] = torch.finfo(torch.float32).min
    found = attend_once(query, key, value, mask, 0.5)
    assert found.shape == (3, 1, 6, 4)
    for row in range(3):
        for head in range(6):
            own = head // (6 // shared)
            first = 2 if row == 1 else 0
            scores = (key[row, own, first:] * query[row, head, 0]).sum(-1) * 0.5
            expected = (scores.softmax(0)[:, None] * value[row, own, first:]).sum(0)
            torch.testing.assert_close(found[row, 0, head], expected)


def test_it_agrees_with_the_fused_kernel_and_is_closer_to_float32_in_bfloat16():
    query, key, value = states(4, 6, 1, 16), states(4, 2, 40, 16, seed=1), states(4, 2, 40, 16, seed=2)
    mask = torch.zeros(4, 1, 1, 40)
    mask[2, ..., :7] = torch.finfo(torch.float32).min
    module = torch.nn.Module()
    module.num_key_value_groups = 3

    def fused():  # gradients are on: torch's own
        return windowed_attention(module, query, key, value, mask, scaling=0.25)[0]

    def ours():
        with torch.no_grad():
            return windowed_attention(module, query, key, value, mask, scaling=0.25)[0]

    torch.testing.assert_close(ours(), fused())
    exact = fused()
    value = value.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        far, near = ((f().float() - exact).abs().mean() for f in (fused, ours))
    assert near < far


def test_a_roomy_cache_holds_what_transformers_does():
    begin = [(states(3, 2, 5, 4, seed=s), states(3, 2, 5, 4, seed=s + 9)) for s in range(2)]
    roomy, plain = roomy_cache(begin), DynamicCache(begin)
    for step in range(2 * ROOM + 3):
        for layer in range(2):
            new = [states(len(roomy.layers[0].keys), 2, 1, 4, seed=100 + 2 * step + k) for k in (0, 1)]
            for one, other in zip(roomy.update(*new, layer), plain.update(*new, layer), strict=True):
                torch.testing.assert_close(one, other, rtol=0, atol=0)
        assert roomy.get_seq_length() == plain.get_seq_length() == 6 + step
        if step in (3, ROOM):
            kept = torch.tensor([0, 1][: len(roomy.layers[0].keys) - 1])
            for cache in (roomy, plain):
                cache.batch_select_indices(kept)
    assert begin[0][0].shape[2] == 5  # what it began with is as it was


def test_tokens_of_a_roomy_cache_are_not_copied_each_time():
    (layer,) = roomy_cache([(states(1, 1, 3, 2), states(1, 1, 3, 2))]).layers
    places = {layer.update(states(1, 1, 1, 2), states(1, 1, 1, 2))[0].data_ptr() for _ in range(ROOM + 1)}
    assert len(places) == 1
