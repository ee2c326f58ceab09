"""Commands that run many experiments."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from forgetwell.cli.app import Several, app, progress_bar

if TYPE_CHECKING:
    from forgetwell.experiments.grid import Planned
    from forgetwell.experiments.plan import Comparison


@app.command
def bench(
    plan: str,
    *,
    model: str = "",
    out: Path | None = None,
    only: Several = None,
    seeds: Annotated[list[int] | None, Parameter(consume_multiple=True)] = None,
    conditions: Several = None,
    jobs: int = 1,
    executor: Literal["local", "ray"] = "local",
    reuse: Annotated[list[Path] | None, Parameter(consume_multiple=True)] = None,
    report_to: Several = None,
    metric: str = "",
    dry_run: bool = False,
) -> None:
    """Run a plan: request attacks x objectives x seeds, one folder a run, and one table of all of them.

    Finished runs are skipped: an interrupted plan goes on where it stopped. Finished runs of other settings,
    as another learning rate or other code of your own, are refused before anything runs. Runs that another
    process is at are left to it: the same command in two terminals, or on two machines that share the folder,
    takes half the time. The table holds all that is done.

    Args:
        plan: A TOML file (docs/tutorial.md has one to start from, in section 2), or the name of a plan that
            ships: claims-world, claims-tofu, claims-lora.
        model: Starting model in place of the plan's: smollm2, a folder or a hub id.
        out: Folder of all runs; by default runs/ and the plan's name.
        only: Comparisons to run: those with such a part in their name, as loss=npo; by default all.
        seeds: Seeds of the plan to run; by default all.
        conditions: Conditions of the plan to run, as plain attacked; by default all.
        jobs: Runs at a time on this machine.
        executor: local processes, or Ray (pip install 'forgetwell[ray]'): the cluster that is running, else
            one on this machine with --jobs runs at a time.
        reuse: Folders of other plans, as runs/attack: models learned and runs done there with the same
            settings are taken over. The paper's tables share half of theirs.
        report_to: Trackers that get the logs: tensorboard, wandb, … (pip install 'forgetwell[track]').
        metric: Run nothing, but read what finished runs answered by this metric, as fact_recall: curves,
            tables and report of that are written into a folder "by" that metric inside the runs' folder.
        dry_run: Print the runs under their bench, model and training, and which of them are done or, with
            --reuse, taken over, and stop. What the run would be refused for is found.
    """
    from forgetwell.errors import InputError
    from forgetwell.experiments.grid import planned, run_plan
    from forgetwell.experiments.page import PAGE
    from forgetwell.experiments.parts import Part, with_model
    from forgetwell.experiments.plan import read_plan
    from forgetwell.experiments.rereading import reread_plan
    from forgetwell.experiments.tables import TABLE, cells_table

    if jobs < 1:
        raise InputError(f"--jobs is {jobs}; it must be at least 1.")
    found = read_plan(plan)
    found = with_model(found, model) if model else found
    folder = out or Path("runs") / found.name
    hours = f" About {found.hours:g} hour{'' if found.hours == 1 else 's'} in all." if found.hours else ""
    print(f"{found.name}: {found.about}{hours}")
    say, part = partial(print, flush=True), Part(only or (), seeds or (), conditions or ())
    if dry_run:
        _show(planned(found, folder, say=say, part=part, reuse=reuse or ()))
        return
    if metric:
        runs, folder = folder, folder / f"by {metric}"
        tables = reread_plan(found, runs, folder, metric, say=say, part=part)
    else:
        tables = run_plan(
            found,
            folder,
            say=say,
            bar=progress_bar,
            part=part,
            jobs=jobs,
            executor=executor,
            reuse=reuse or (),
            report_to=report_to or (),
        )
    print(f"\n{cells_table(tables.cells)}\nTables: {folder / TABLE}\nReport: {folder / PAGE}")


def _show(runs: Sequence[Planned]) -> None:
    """Print runs under what they have in common, in columns."""
    shared = ""
    asked = [p.run.attack or "honest" for p in runs]
    names, conditions, attacks = (
        max(map(len, column), default=0)
        for column in ([p.comparison.name for p in runs], [p.run.condition for p in runs], asked)
    )
    for p, attack in zip(runs, asked, strict=True):
        above = _above(p.comparison)
        if above != shared:
            print(above)
        shared = above
        state = "" if p.state == "open" else f"  ({p.state})"
        run = f"{p.comparison.name:{names}}  {p.run.condition:{conditions}}  seed {p.run.seed}"
        print(f"{run}  {attack:{attacks}}  {p.run.steps}{state}")


def _above(comparison: Comparison) -> str:
    """Return what runs of a comparison are of: data, model and length of training."""
    config, lora = comparison.setup.config, comparison.setup.lora
    steps = f", at most {config.max_steps} steps" if config.max_steps else ""
    adapters = f", LoRA of rank {lora.rank}" if lora else ""
    training = f"{config.epochs} epochs{steps}, batch {config.batch}, lr {config.lr:g}{adapters}"
    return f"On {comparison.bench}, from {comparison.model}; {training}:"
