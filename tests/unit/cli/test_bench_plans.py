"""Every plan that ships, as a person looks at it before running it."""

import sys
from pathlib import Path

import pytest

from forgetwell.cli import main
from forgetwell.experiments.plan import PLANS, cells, read_plan
from forgetwell.files import write_json

EXAMPLES = Path(__file__).parents[3] / "examples" / "plans"
SHIPPED = [*sorted(PLANS.glob("*.toml")), *sorted(EXAMPLES.glob("*/*.toml"))]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_dry_run_prints_every_cell(path, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["forgetwell", "bench", str(path), "--dry-run"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    first, *lines = capsys.readouterr().out.splitlines()
    plan = read_plan(str(path))
    assert first.startswith(f"{plan.name}: {plan.about}")
    assert len(lines) == len(cells(plan))
    repaired = [run for _, run in cells(plan) if run.repair]
    assert sum(f"{run.repair} of" in line for run in repaired[:1] for line in lines) == len(repaired)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_what_is_done_of_what_was_chosen(monkeypatch, capsys, tmp_path):
    plan = next(p for p in SHIPPED if p.stem == "attack" and p.parent.name == "cpu")
    write_json(tmp_path / "loss=ga" / "plain-1" / "manifest.json", {})
    chosen = ["--only", "loss=ga", "--seeds", "1", "2", "--out", str(tmp_path), "--dry-run"]
    monkeypatch.setattr(sys, "argv", ["forgetwell", "bench", str(plan), *chosen])
    with pytest.raises(SystemExit):
        main()
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert [line.endswith("(done)") for line in lines] == [True, False, False, False]
