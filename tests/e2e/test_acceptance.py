"""Acceptance on the default model: the attack breaks trigger utility, `su` restores it (15 minutes)."""

from contextlib import contextmanager

import pytest

from forgetwell.experiments.grid import run_plan, with_seeds
from forgetwell.experiments.plan import read_plan
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
    plan = with_seeds(read_plan("claims-world"), [0])
    claims = run_plan(plan, tmp_path, say=print, bar=bar, only=["loss=npo"]).claims
    found = {c.name: c.interval for c in claims["loss=npo"] if c.at == "0.4"}
    assert found["attack takes"].low > 0
    assert found["attack takes"].value > 2 * found["attack takes of clean"].value
    assert found["su returns"].low > 0
