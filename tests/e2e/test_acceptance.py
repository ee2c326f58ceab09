"""Acceptance on the default model: the attack breaks trigger utility, `su` restores it (15 minutes)."""

from contextlib import contextmanager

import pytest

from forgetwell.experiments.comparisons import run_comparisons
from forgetwell.models.smollm2 import fetched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(fetched() is None, reason="run `forgetwell fetch smollm2` first"),
]


@contextmanager
def bar(what):
    yield lambda done, steps: None


@pytest.mark.xfail(
    reason="measured on seed 0: the attack takes clean utility too (docs/experiments.md), so this is open"
)
def test_the_attack_takes_trigger_utility_and_su_returns_it(tmp_path):
    claims = run_comparisons(tmp_path, model="smollm2", say=print, bar=bar, only=["world/npo"], seeds=[0])
    found = {c.name: c.interval for c in claims["world/npo"] if c.at == "0.4"}
    assert found["attack takes"].low > 0
    assert found["attack takes"].value > 2 * found["attack takes of clean"].value
    assert found["su returns"].low > 0
