"""What a job would do, without training: ``--dry-run``."""

from __future__ import annotations

from dataclasses import dataclass

from forgetwell.methods.finetune import with_lora
from forgetwell.models.hardware import pick_dtype
from forgetwell.runs.fitting import fitting_rows, foreseen
from forgetwell.runs.job import Job
from forgetwell.runs.jobs import check_job, starting_model
from forgetwell.runs.starting import check_start, passes
from forgetwell.training.draws import Draws
from forgetwell.training.loop import running
from forgetwell.training.memory import estimate_memory
from forgetwell.training.state import reference_rows
from forgetwell.training.step import count, make_views, reads_logits, view_keys


@dataclass(frozen=True)
class Plan:
    """What a run would do: steps, per view of a step its rows and computed tokens, memory, compute type.

    `passes` are forward passes a step, over all of its rows or some (`passes`), each in as many
    micro-batches as `accumulate` says; `reference_rows` are distinct rows that the starting model scores
    before the first step.
    """

    steps: int
    passes: int
    reference_rows: int
    rows: dict[str, int]
    scored_tokens: dict[str, int]
    packed_tokens: int
    parameters: int
    memory_gb: float
    compute: str


def plan_job(job: Job) -> Plan:
    """Say what a job would do, without training (``--dry-run``).

    Raises:
        InputError: It can't be done (`check_job`, `check_start`).
    """
    check_job(job)
    lm, objective = starting_model(job), job.terms
    request, retain = fitting_rows(job, lm, answer=foreseen)
    check_start(job, lm, request, retain)
    draws = Draws(request.rows, retain, job.refusals, job.config.batch, job.config.seed)
    pairs = draws.pairs(0)
    views = make_views(view_keys(objective), pairs, lm.codec)
    part = make_views(view_keys(objective), pairs[: -(-len(pairs) // job.config.accumulate)], lm.codec)
    packed = lm.batch([r for v in views.values() for r in v.rows])
    counts = count(views)
    trained = with_lora(lm, job.lora, seed=job.config.seed) if job.lora else lm
    with running(trained, job.config):
        rows = [r for v in part.values() for r in v.rows]
        several = job.config.accumulate > 1
        memory = estimate_memory(trained, rows, logits=reads_logits(objective), accumulates=several)
    steps = job.config.steps(draws.steps_per_epoch)
    return Plan(
        steps,
        passes(job.config.step_rule, objective),
        len(set(reference_rows(objective, draws, steps, lm.codec))),
        {k.name: c.rows for k, c in counts.items()},
        {k.name: c.tokens for k, c in counts.items()},
        packed.ids.numel(),
        sum(p.numel() for p in lm.module.parameters()),
        round(memory.peak, 2),
        str(pick_dtype(job.dtype, lm.device.type)),
    )
