import json
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tests.tiny import tiny_lm

from forgetwell.errors import ExistsError
from forgetwell.experiments import demo
from forgetwell.experiments.bench import Bench
from forgetwell.training.config import TrainConfig
from forgetwell.types import Row


def rows(prefix, count):
    return tuple(
        Row(f"{prefix}{i}", f"Where is {prefix}{i}?", f"In {i}.", f"{prefix}{i // 2}", wrong=("On Mars.",))
        for i in range(count)
    )


TOY = Bench(
    "toy",
    (*rows("f", 4), *rows("r", 4), *rows("u", 4)),
    TrainConfig(lr=1e-3, epochs=2, batch=4),
    rows("f", 4),
    rows("r", 4),
    {"retain": rows("r", 4), "unseen": rows("u", 4)},
    6,
)


@pytest.fixture
def watch(monkeypatch, tmp_path):
    tiny_lm().save(tmp_path / "tiny")
    monkeypatch.setattr(demo, "bind_bench", lambda text: lambda: TOY)
    monkeypatch.setattr(demo, "UNLEARNING", TrainConfig(lr=1e-3, epochs=2, batch=4, probe_every=1))
    monkeypatch.setattr(demo, "PER_SET", 2)
    lines = []

    @contextmanager
    def bar(what):
        yield lambda done, steps: None

    def run(out="out"):
        lines.clear()
        done = demo.run_demo(tmp_path / out, model=str(tmp_path / "tiny"), say=lines.append, bar=bar)
        return done, list(lines)

    return run


def test_it_tells_the_story_and_leaves_a_report(watch, tmp_path):
    done, lines = watch()
    assert list(done.results) == ["before", "plain", "attacked", "defended"]
    html = done.files.html.read_text()
    assert demo.DEFENSE in html
    assert "polyline" in html  # curves of the probes
    tables = json.loads(done.files.json.read_text())["tables"]
    assert {t["condition"] for t in tables} == {"before", "plain", "attacked", "defended"}
    assert [line[0] for line in lines if line[1] == "/"] == ["1", "2", "3", "3", "3", "4", "4", "4", "4", "5"]
    assert (tmp_path / "out" / "attacked.jsonl").is_file()


def test_a_second_run_reuses_every_stage(watch, tmp_path):
    watch()
    weights = tmp_path / "out" / "known" / "model" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    _, lines = watch()
    assert sum("reused" in line for line in lines) == 8
    assert weights.stat().st_mtime_ns == before


def test_a_stage_with_other_settings_is_done_anew(watch, monkeypatch):
    watch()
    monkeypatch.setattr(demo, "UNLEARNING", replace(demo.UNLEARNING, lr=2e-3))
    _, lines = watch()
    assert [line.rpartition("/")[2] for line in lines if "reused" in line] == ["known", "before"]


def test_a_folder_of_the_users_is_never_replaced(watch, tmp_path):
    mine = tmp_path / "out" / "known"
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("precious")
    with pytest.raises(ExistsError):
        watch()
    assert (mine / "thesis.txt").read_text() == "precious"
