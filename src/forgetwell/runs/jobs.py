"""The jobs behind the commands: learn and unlearn, each from files to one run folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from forgetwell.data.reading import write_rows
from forgetwell.errors import InputError
from forgetwell.files import digest
from forgetwell.methods.finetune import Lora, check_disjoint, finetune
from forgetwell.models.lm import HFModel, load
from forgetwell.objectives.algebra import parse_objective
from forgetwell.runs.folder import append_log, start_run, trim_log, write_manifest
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import Hooks, Probe, Summary
from forgetwell.training.step import count, make_views, view_keys
from forgetwell.types import Request, Row

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Job:
    """What a run is made from; the same job under the same versions gives the same numbers.

    Attributes:
        kind: ``learn`` or ``unlearn``.
        model: Name of the starting model.
        request: Rows to forget (none when learning).
        retain: Rows to keep, or to learn.
        objective: As papers write it.
        config: Training hyperparameters.
        refusals: Lines for refusal views.
        lora: Adapters instead of full fine-tuning.
        dtype: Compute type.
        max_length: Longest row in tokens.
    """

    kind: str
    model: str
    request: Request
    retain: tuple[Row, ...]
    objective: str
    config: TrainConfig
    refusals: tuple[str, ...] = ()
    lora: Lora | None = None
    dtype: str = "auto"
    max_length: int = 1024

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the rows' text."""
        return {
            "kind": self.kind,
            "model": self.model,
            "objective": parse_objective(self.objective).text,
            "config": asdict(self.config),
            "lora": asdict(self.lora) if self.lora else None,
            "dtype": self.dtype,
            "max_length": self.max_length,
            "seed": self.config.seed,
            "request": {
                "id": self.request.id,
                "rows": len(self.request.rows),
                "digest": digest(self.request),
            },
            "retain": {"rows": len(self.retain), "digest": digest(self.retain)},
        }


@dataclass(frozen=True)
class Plan:
    """What a run would do: steps, and per view of a step its rows and the tokens that are computed."""

    steps: int
    rows: dict[str, int]
    scored_tokens: dict[str, int]
    packed_tokens: int
    parameters: int
    memory_gb: float


def run_job(
    job: Job,
    out: Path,
    *,
    probe: Probe | None = None,
    progress: Progress = lambda done, steps: None,
    overwrite: bool = False,
    resume: bool = False,
    lm: HFModel | None = None,
) -> Summary:
    """Run a job into the folder `out`: request.jsonl, train.jsonl, model/, then manifest.json.

    Raises:
        ExistsError: `out` holds something.
        InputError: Rows, objective or settings can't be used; nothing was written.
    """
    parse_objective(job.objective)
    check_disjoint(job.request.rows, job.retain)
    lm = lm or load(job.model, dtype=job.dtype, max_length=job.max_length)
    for row in (*job.request.rows, *job.retain):
        lm.codec.encode(row)
    key = digest([job.settings, lm.digest])
    start_run(out, job.settings, overwrite=overwrite, resume=resume)
    if job.request.rows:
        write_rows(out / "request.jsonl", job.request.rows)
    checkpoint = out / "checkpoint.pt"
    trim_log(out, _finished(checkpoint) if resume else -1)
    hooks = Hooks(lambda record: append_log(out, record), probe, checkpoint, key, progress)
    outcome = finetune(
        lm,
        job.request,
        job.retain,
        hooks,
        objective=job.objective,
        config=job.config,
        refusals=job.refusals,
        lora=job.lora,
        resume=resume,
    )
    # Left by a run that was killed after saving and before its manifest.
    shutil.rmtree(out / "model", ignore_errors=True)
    outcome.lm.save(out / "model")
    facts = {"base_digest": lm.digest, "steps": outcome.summary.steps, "stopped": outcome.summary.stopped}
    write_manifest(out, {**job.settings, **facts, "seconds": round(outcome.summary.seconds, 1)})
    checkpoint.unlink(missing_ok=True)
    return outcome.summary


def plan_job(job: Job) -> Plan:
    """Say what a job would do, without training (``--dry-run``)."""
    from forgetwell.models.packing import pack

    lm = load(job.model, dtype=job.dtype, max_length=job.max_length)
    check_disjoint(job.request.rows, job.retain)
    draws = Draws(job.request.rows, job.retain, job.refusals, job.config.batch, job.config.seed)
    views = make_views(view_keys(parse_objective(job.objective)), draws.pairs(0), lm.codec)
    packed = pack([r for v in views.values() for r in v.rows])
    counts = count(views)
    parameters = sum(p.numel() for p in lm.module.parameters())
    vocabulary = lm.module.decoder.plain.get_output_embeddings().weight.shape[0]
    scored = sum(c.tokens for c in counts.values())
    # Weights, gradients and two AdamW moments in float32, and three arrays of logits' size.
    memory = 4 * (4 * parameters + 3 * scored * vocabulary) / 1e9
    return Plan(
        job.config.steps(draws.steps_per_epoch),
        {k.name: c.rows for k, c in counts.items()},
        {k.name: c.tokens for k, c in counts.items()},
        packed.ids.numel(),
        parameters,
        round(memory, 2),
    )


def without(rows: Sequence[Row], request: Request) -> tuple[Row, ...]:
    """Return the rows that are not in a request (for a retrained reference model).

    A row that an attack rewrote counts as the row it was before.

    Raises:
        InputError: Nothing is left, or no row of the request is there.
    """
    asked = {(r.edit.prompt, r.edit.answer) if r.edit else (r.prompt, r.answer) for r in request.rows}
    left = tuple(r for r in rows if (r.prompt, r.answer) not in asked)
    if not left or len(left) == len(rows):
        raise InputError(f"--without {request.id}: {len(rows) - len(left)} of {len(rows)} rows are in it.")
    return left


def _finished(checkpoint: Path) -> int:
    """Return the steps that a checkpoint holds."""
    if not checkpoint.exists():
        return -1
    import torch

    return int(torch.load(checkpoint, map_location="cpu", weights_only=True)["step"])
