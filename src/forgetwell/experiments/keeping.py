"""From a plan's folder to ``results/``: numbers and ids, no weights, no texts and no paths of a machine.

python -m forgetwell.experiments.keeping runs/facts results/2026-01-31-facts
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeAlias

import cyclopts

from forgetwell.errors import ExistsError, InputError, MissingError, told
from forgetwell.experiments.tables import CELLS, CLAIMS, TABLE
from forgetwell.files import is_taken, read_json, write_json
from forgetwell.runs.folder import CURVE, MANIFEST

Kept: TypeAlias = Sequence[tuple[Path, Mapping[str, Any]]]  # a run's curve, and its manifest


def keep_results(plan: Path, out: Path) -> tuple[str, ...]:
    """Copy a plan's tables, and curve and manifest of each finished run; return the runs' names.

    Files of a run are named after its comparison's values, condition and seed, as
    ``npo-attacked-0.curve.jsonl``. Of the starting model's path the last part stays.

    Raises:
        MissingError: The plan has no tables: no run is done.
        ExistsError: `out` holds something.
        InputError: Two runs would get one name.
    """
    if not (plan / CELLS).is_file():
        raise MissingError(f"{plan} holds no {CELLS}; give the folder in which forgetwell bench ran a plan.")
    if is_taken(out):
        raise ExistsError(f"{out} holds something; choose another folder.")
    found = sorted(m.parent for m in plan.glob(f"*/*/{MANIFEST}"))
    runs = {run: kept_name(run.parent.name, run.name) for run in found}
    twice = sorted({n for n in runs.values() if list(runs.values()).count(n) > 1})
    if twice:
        raise InputError(f"Two runs of {plan} would be called {twice[0]}; name a variable's values apart.")
    out.mkdir(parents=True, exist_ok=True)
    for table in (CELLS, CLAIMS, TABLE):
        shutil.copyfile(plan / table, out / table)
    for run, name in runs.items():
        shutil.copyfile(run / CURVE, out / f"{name}.{CURVE}")
        manifest = read_json(run / MANIFEST)
        write_json(out / f"{name}.{MANIFEST}", {**manifest, "model": PurePath(manifest["model"]).name})
    return tuple(runs.values())


def kept_name(comparison: str, run: str) -> str:
    """Return a comparison's values and a run's name in plain characters: ``tpo-unwanted-facts-plain-0``."""
    values = (part.partition("=")[2] or part for part in comparison.split(" "))
    return re.sub(r"[^\w.]+", "-", f"{'-'.join(v.rstrip(')') for v in values)}-{run}")


def kept_runs(folder: Path) -> Kept:
    """Return the runs that a folder keeps."""
    manifests = sorted(folder.glob(f"*.{MANIFEST}"))
    return [(m.with_name(m.name.removesuffix(MANIFEST) + CURVE), read_json(m)) for m in manifests]


def runs_of(comparison: str, runs: Kept, *, alone: bool) -> Kept:
    """Return the runs of one comparison.

    Args:
        comparison: Its name, as in claims.
        runs: Runs that were kept.
        alone: Whether it is the only one there: the first results kept were, and don't name it.
    """
    found = []
    for curve, m in runs:
        run = f"{m['condition']}-{m['seed']}"
        if curve.name in (f"{kept_name(comparison, run)}.{CURVE}", f"{run}.{CURVE}" if alone else ""):
            found.append((curve, m))
    return found


def main(plan: Path, out: Path) -> None:
    """Keep a plan's numbers: tables, curves and manifests, no answers, weights or paths.

    Args:
        plan: The plan's runs, as runs/attack.
        out: A new folder for them, as results/2026-11-30-attack.
    """
    kept = keep_results(plan, out)
    print(f"{len(kept)} runs. Written: {out}. Add a README.md with the command and the hardware.")


if __name__ == "__main__":
    with told("python -m forgetwell.experiments.keeping"):
        cyclopts.run(main)
