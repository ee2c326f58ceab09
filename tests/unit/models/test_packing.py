import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.models.packing import PACK_TOKENS, SHORT, pack
from forgetwell.types import Encoded

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=9), min_size=1, max_size=12)


@given(ROWS, st.integers(2, 40))
def test_every_row_is_read_whole_and_nothing_else_with_it(texts, limit):
    rows = [Encoded(tuple(ids), len(ids) // 2) for ids in texts]
    packed = pack(rows, limit=limit)
    width, scored = packed.ids.shape[1], 0
    for b, row in enumerate(rows):
        trie, end = divmod(int(packed.last[b]), width)
        path = packed.mask[trie, end].nonzero().flatten()
        assert tuple(packed.ids[trie, path].tolist()) == row.ids
        assert packed.positions[trie, path].tolist() == list(range(len(row.ids)))
        own = packed.row == b
        assert packed.labels[own].tolist() == list(row.ids[max(row.start, 0) :])
        assert packed.source[own].tolist() == [trie * width + int(n) for n in path[row.start - 1 : -1]]
        scored += int(own.sum())
    assert packed.labels.numel() == scored


def texts(lengths, seed=0):
    stream = random.Random(seed)
    return [Encoded(tuple(stream.randrange(9999) for _ in range(n)), n - 1) for n in lengths]


@pytest.mark.parametrize("lengths", [[73] * 15, [60] * 17 + [90], [100, 90, 80] * 4 + [30]])
def test_a_little_more_than_a_trie_holds_is_divided_evenly(lengths):
    packed = pack(texts(lengths), limit=1024)
    assert len(packed.ids) == 2
    assert packed.ids.numel() < 1.2 * sum(lengths)


def test_what_fits_is_one_trie_and_limits_hold():
    assert len(pack(texts([100] * 10), limit=1024).ids) == 1
    for lengths, limit in (([70] * 40, 256), ([40, 90] * 30, 300), ([33] * 100, 1024)):
        assert pack(texts(lengths), limit=limit).ids.shape[1] <= limit


def test_a_long_row_keeps_its_trie_small():
    packed = pack(texts([SHORT + 8, *[50] * 10]), limit=1024)
    assert packed.mask.shape[0] > 1
    (longest,) = packed.positions.max(1).values.argmax().unsqueeze(0)
    assert int((packed.positions[longest] > 0).sum()) <= PACK_TOKENS
