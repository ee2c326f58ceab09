"""A plan on a local Ray cluster with one processor."""

import json
from pathlib import Path

import pytest
from tests.tiny import tiny_lm
from tests.toy import BENCH, bar

from forgetwell.errors import RunsFailed
from forgetwell.experiments import grid
from forgetwell.experiments.claims import Run, Setup
from forgetwell.experiments.grid import run_plan
from forgetwell.experiments.plan import Comparison, Plan
from forgetwell.training.config import TrainConfig

ray = pytest.importorskip("ray", reason="Ray is not installed (pip install 'forgetwell[ray]')")


SETUP = Setup(config=TrainConfig(epochs=1, batch=2, probe_every=1), per_set=2, floor=0.0)


@pytest.fixture(scope="module")
def cluster():
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def here(tmp_path, monkeypatch):
    tiny_lm().save(tmp_path / "tiny")
    monkeypatch.setattr(grid, "bind_bench", lambda text: lambda: BENCH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*runs):
    return Plan("toy", "", 0.0, (Comparison("loss=npo", "toy", "tiny", SETUP, runs),))


def test_a_plan_on_ray_gives_the_numbers_of_a_local_one(cluster, here):
    """Paths are relative: workers of Ray start in another folder."""
    runs = plan(Run("plain", 0, "", "npo + gdr"), Run("attacked", 0, "stealthy", "npo + gdr"))
    said = []
    spread = run_plan(runs, Path("out"), say=said.append, bar=bar, executor="ray")
    local = run_plan(runs, Path("local"), say=said.append, bar=bar)
    assert spread == local
    assert [c.condition for c in spread.cells if c.at == "end"] == ["plain", "attacked"]
    assert [json.loads(line) for line in (here / "out" / "cells.jsonl").read_text().splitlines()]


def test_a_run_that_fails_on_ray_says_why(cluster, here):
    broken = plan(Run("plain", 0, "stealthy(p=1, templates=rwku)", "npo + gdr"))
    with pytest.raises(RunsFailed, match="template set rwku is for text"):
        run_plan(broken, Path("out"), say=lambda line: None, bar=bar, executor="ray")
