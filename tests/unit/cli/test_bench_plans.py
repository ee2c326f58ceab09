"""Every plan that ships, as a person looks at it before running it."""

import shutil
import sys
from pathlib import Path

import pytest

from forgetwell.cli import main
from forgetwell.experiments import grid
from forgetwell.experiments.bench import bind_bench
from forgetwell.experiments.claims import run_settings
from forgetwell.experiments.plan import PLANS, cells, read_plan
from forgetwell.files import write_json

EXAMPLES = Path(__file__).parents[3] / "examples" / "plans"
SHIPPED = [*sorted(PLANS.glob("*.toml")), *sorted(EXAMPLES.glob("*/*.toml"))]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_a_dry_run_prints_every_cell(path, monkeypatch, capsys, tmp_path):
    plan = read_plan(str(path))
    world = bind_bench("world")()  # in place of benches whose rows are elsewhere: none of them is run
    monkeypatch.setattr(grid, "bind_bench", lambda name: lambda: world)
    (tmp_path / "model").mkdir()
    monkeypatch.chdir(tmp_path)
    first, *found = dry_run(monkeypatch, capsys, str(path), "--model", "model")
    lines = [line for line in found if not line.startswith("On ")]
    assert first.startswith(f"{plan.name}: {plan.about}")
    assert len(lines) == len(cells(plan))
    for comparison in plan.comparisons:
        assert sum(line.startswith(f"On {comparison.bench}, from model; ") for line in found) >= 1
    repaired = [run for _, run in cells(plan) if run.repairs]
    assert sum(f"{run.repairs[0]} of" in line for run in repaired[:1] for line in lines) == len(repaired)
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


SMALL = """
bench = "world"
model = "model"
seeds = [0, 1]
per_set = 2
[train]
lr = 1.5e-5
max_steps = 4
[grid]
loss = ["npo", "ga"]
[conditions.plain]
objective = "{loss} + gdr"
"""


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A plan with a model, in the current folder, of whose runs one is done: of ga, with the second seed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "small.toml").write_text(SMALL)
    world, runs = bind_bench("world")(), tmp_path / "runs" / "small"
    comparison = read_plan("small.toml").comparisons[1]
    start = runs / "known world model"
    write_json(runs / "loss=ga" / "plain-1" / "manifest.json",
               run_settings(world, comparison.setup, comparison.runs[1], start))  # fmt: skip
    return tmp_path / "small.toml"


def dry_run(monkeypatch, capsys, *arguments, code=0):
    """Return the lines that a dry run prints; of one that is refused, what it says."""
    monkeypatch.setattr(sys, "argv", ["forgetwell", "bench", *arguments, "--dry-run"])
    with pytest.raises(SystemExit) as stop:
        main()
    told = capsys.readouterr()
    assert (stop.value.code or 0) == code, told.err
    return told.err if code else told.out.splitlines()


def test_a_dry_run_says_what_is_done_of_what_was_chosen(small, monkeypatch, capsys):
    _, above, *lines = dry_run(monkeypatch, capsys, "small.toml", "--only", "loss=ga")
    assert above == "On world, from model; 5 epochs, at most 4 steps, batch 8, lr 1.5e-05:"
    assert [line.endswith("(done)") for line in lines] == [False, True]


def test_some_conditions_can_be_run_alone(small, monkeypatch, capsys):
    small.write_text(SMALL + '[conditions.attacked]\nattack = "stealthy(p=0.33)"\nobjective = "{loss} + gdr"')
    found = dry_run(monkeypatch, capsys, "small.toml", "--conditions", "attacked", "--seeds", "1")
    assert [line.split()[:4] for line in found if line.startswith("loss")] == [
        ["loss=npo", "attacked", "seed", "1"],
        ["loss=ga", "attacked", "seed", "1"],
    ]
    told = dry_run(monkeypatch, capsys, "small.toml", "--conditions", "attakced", code=2)
    assert "Did you mean 'attacked'?" in " ".join(told.split())


@pytest.mark.parametrize(
    ("old", "new", "arguments", "says"),
    [
        ("1.5e-5", "2e-5", (), "plain-1 holds a finished run with other settings (config.lr 1.5e-05, now"),
        ("", "", ("--model", "nope"), "No model 'nope'"),
        ("", "", ("--jobs", "0"), "--jobs is 0; it must be at least 1."),
        ('"world"', "\"files(request='no.jsonl', retain=['world:retain'], utility=['world:retain'])\"", (),
         "Nothing of small can be run"),
    ],
)  # fmt: skip
def test_a_dry_run_finds_what_the_run_would_meet(small, monkeypatch, capsys, old, new, arguments, says):
    small.write_text(SMALL.replace(old, new) if old else SMALL)
    if "--model" in arguments:
        shutil.rmtree("runs")
    told = dry_run(monkeypatch, capsys, "small.toml", *arguments, code=2)
    assert says in " ".join(told.split())
