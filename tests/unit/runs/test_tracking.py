import json

import pytest
from tests.tiny import tiny_lm

from forgetwell.errors import InputError, UnknownName
from forgetwell.runs.job import Job
from forgetwell.runs.jobs import run_job
from forgetwell.runs.tracking import check_trackers, flat, tracked
from forgetwell.training.config import TrainConfig
from forgetwell.types import Request, Row


def rows(prefix, count):
    return tuple(Row(f"{prefix}{i}", f"Where is {prefix}{i}?", f"In {i}") for i in range(count))


JOB = Job(
    "unlearn", "tiny", Request("r", rows("f", 2)), rows("r", 2), "ga + gdr",
    TrainConfig(epochs=2, batch=2, probe_every=1), probe=rows("r", 2),
)  # fmt: skip


def test_nested_records_become_flat_numbers():
    record = {"step": 3, "loss": 0.5, "terms": {"npo": 0.2}, "probe": {"forget.rouge_l_recall": 1.0}}
    assert flat(record) == {
        "step": 3, "loss": 0.5, "terms/npo": 0.2, "probe/forget.rouge_l_recall": 1.0
    }  # fmt: skip
    assert flat({"lora": None, "targets": ("a", "b"), "config": {"merge": True}}) == {
        "targets": "('a', 'b')", "config/merge": True
    }  # fmt: skip


def test_unknown_and_missing_trackers_are_said_before_anything_runs(tmp_path):
    with pytest.raises(UnknownName, match="tensorboard"):
        check_trackers(["tensorbord"])
    with pytest.raises(UnknownName):
        run_job(JOB, tmp_path / "run", lm=tiny_lm(), save=False, report_to=["tensorbord"])
    assert not (tmp_path / "run").exists()


def test_a_tracker_without_its_package_names_the_package(monkeypatch):
    from accelerate import tracking

    monkeypatch.setattr(tracking, "_available_trackers", [])
    with pytest.raises(InputError, match="pip install wandb"):
        check_trackers(["wandb"])


def test_without_trackers_nothing_is_loaded_or_written(tmp_path):
    with tracked((), tmp_path, {}) as log:
        log({"step": 1, "loss": 1.0})
    assert not list(tmp_path.iterdir())


def test_tensorboard_gets_the_numbers_of_the_log_and_no_text(tmp_path):
    pytest.importorskip(
        "tensorboard", reason="tensorboard is not installed (pip install 'forgetwell[track]')"
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "run"
    run_job(JOB, out, lm=tiny_lm(), save=False, report_to=["tensorboard"])
    events = EventAccumulator(str(out / "trackers" / "forgetwell"))
    events.Reload()
    logged = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    for tag, read in {
        "loss": lambda r: r.get("loss"),
        "terms/gdr": lambda r: r.get("terms", {}).get("gdr"),
        "probe/forget.rouge_l_recall": lambda r: r.get("probe", {}).get("forget.rouge_l_recall"),
    }.items():
        wanted = [(r["step"], read(r)) for r in logged if read(r) is not None]
        assert [(e.step, pytest.approx(e.value)) for e in events.Scalars(tag)] == wanted
    written = b"".join(p.read_bytes() for p in out.glob("trackers/**/*") if p.is_file())
    assert b"ga + gdr" in written
    assert b"Where is" not in written
