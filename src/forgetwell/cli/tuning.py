"""The command that finds hyperparameters."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forgetwell.cli.advising import advise
from forgetwell.cli.app import (
    Several,
    Sources,
    app,
    check_columns,
    progress_bar,
    read_request_from,
    rows_from,
)
from forgetwell.cli.config import USE
from forgetwell.cli.training import DEFAULTS, Shared, Training, make_job
from forgetwell.errors import Diverged
from forgetwell.own import used

if TYPE_CHECKING:
    from forgetwell.runs.tuning import Trial


@app.command
def tune(
    *,
    model: str,
    request: str,
    retain: Sources,
    objective: str,
    out: Path,
    columns: str | None = None,
    refusals: Path | None = None,
    training: Shared = DEFAULTS,
    probe: Several = None,
    keep: Sources | None = None,
    counterfactuals: int = 0,
    system: Several = None,
    trials: int = 8,
    level: float = 0.4,
    lr_factor: float = 5.0,
    weight_factor: float = 4.0,
    overwrite: bool = False,
) -> None:
    """Find learning rate and weights for a model and a request; print the command that unlearns with them.

    Settings are compared by clean and trigger utility where forgetting reaches a level. Half of them drop
    out each round, the others go on with twice the steps. Finished trials are reused.

    Args:
        model: smollm2, a folder (model, adapter or run) or a hub id.
        request: Rows to forget: a file, or a name such as tofu:forget01.
        retain: Rows to keep, none of them in the request.
        objective: Weighted sum of terms; the weights of those that don't forget are varied.
        out: Folder of all trials.
        columns: Names of the columns of files that have them, as prompt=q,answer=a.
        refusals: File with one refusal a line, for idk, dpo, flat and ap; by default our own 100.
        training: How to train; the learning rate is varied.
        probe: Rows to keep that the probe asks, clean and with "please"; by default 8 retain rows.
        keep: Prompts at which the model should stay as it is (answers are not read): its own answers to them
            are rows to keep as well.
        counterfactuals: Ask each question about so many others as well: prompts to keep.
        system: System prompt before all rows, as your service has, or several, in turn.
        trials: Settings in the first round.
        level: Forget ROUGE-L recall at which utility is compared.
        lr_factor: Largest factor on the learning rate, up or down.
        weight_factor: Largest factor on a weight, up or down.
        overwrite: Replace a search of other settings.
    """
    from forgetwell.data.world import load_refusals
    from forgetwell.runs.tuning import Search, tune

    check_columns(columns, request, retain, probe, keep)
    asked, kept = read_request_from(request, columns), rows_from(retain, columns)
    job = make_job("unlearn", model, asked, kept, objective, training, load_refusals(refusals))
    job = dataclasses.replace(
        job,
        probe=rows_from(probe, columns) if probe else kept,
        keep=rows_from(keep, columns) if keep else (),
        counterfactuals=counterfactuals,
    ).behind(system or ())
    advise(job)
    search = Search(trials, level, lr_factor, weight_factor, training.seed)
    with progress_bar("tuning") as progress:
        found = tune(job, search, out, progress=progress, overwrite=overwrite)
    _print_trials(found)
    flags = {"model": [model], "request": [request], "retain": retain, "objective": [found[0].objective]}
    optional = {"columns": columns, "refusals": refusals, "counterfactuals": counterfactuals or None}
    flags |= {k: [str(v)] for k, v in optional.items() if v is not None}
    flags |= {k: v for k, v in (("probe", probe), ("keep", keep), ("system", system)) if v}
    best = dataclasses.replace(training, lr=found[0].lr, max_steps=found[0].steps)
    _print_reached(found[0], level)
    print(f"\nBest:\n{command(flags, best)}")


def _print_reached(best: Trial, level: float) -> None:
    """Say whether the best trial forgot down to the level.

    Raises:
        Diverged: It didn't even train to its end.
    """
    from forgetwell.runs.tuning import FORGET

    if best.diverged:
        raise Diverged("All settings diverged. Lower --lr, or clip gradients (--clip 1).")
    if best.utility is None:
        print(
            f"No setting forgot down to {level:g} in {best.steps} steps: the first one forgot most. "
            "Give more --max-steps or --epochs, a higher --lr or a higher --level."
        )
    else:
        print(f'Add --stop-at "{FORGET}<={level:g}" to stop at the level.')


def command(flags: Mapping[str, Sequence[str]], training: Training) -> str:
    """Return the ``forgetwell unlearn`` command line with these flags and all that isn't default."""
    words = ["forgetwell", "unlearn"]
    for file in used():
        words += [USE, str(file)]
    for name, values in flags.items():
        words += [f"--{name}", *values]
    for field in dataclasses.fields(training):
        value, name = getattr(training, field.name), "--" + field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            words.append(name if value else name.replace("--", "--no-", 1))
        else:
            words += [w for v in (value if isinstance(value, tuple) else (value,)) for w in (name, str(v))]
    return f"{shlex.join(words)} --out DIR"


def _print_trials(trials: tuple[Trial, ...]) -> None:
    head = ("trial", "steps", "lr", "utility", "forget", "clean", "trigger")
    print("".join(f"{name:>9}" for name in head) + "  objective")
    for t in trials:
        utility = "diverged" if t.diverged else "–" if t.utility is None else f"{t.utility:.3f}"
        last = [f"{t.probe[f'{p}.rouge_l_recall']:.3f}" for p in ("forget", "utility", "trigger")]
        cells = (str(t.number), str(t.steps), f"{t.lr:.1e}", utility, *last)
        print("".join(f"{cell:>9}" for cell in cells) + f"  {t.objective}")
    print("utility: where forgetting reaches the level (– = it doesn't); the rest after the last step.")
