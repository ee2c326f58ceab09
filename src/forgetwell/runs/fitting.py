"""A job's rows as they are trained on: each known to fit into the context, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from forgetwell.data.chunking import chunk_texts
from forgetwell.methods.own_answers import LONGEST, own_answers
from forgetwell.models.lm import HFModel
from forgetwell.requests.counterfactual import as_many
from forgetwell.runs.job import Job
from forgetwell.types import Progress, Request, Row, quiet

Answer = Callable[[HFModel, Sequence[Row], Progress], tuple[Row, ...]]


def answered(lm: HFModel, prompts: Sequence[Row], progress: Progress) -> tuple[Row, ...]:
    """Return prompts to keep with the model's own answers."""
    return own_answers(lm, prompts, progress=progress)


def foreseen(lm: HFModel, prompts: Sequence[Row], progress: Progress) -> tuple[Row, ...]:
    """Return prompts to keep with answers as long as the model's may be: what a dry run counts."""
    return tuple(row.answered(" a" * LONGEST) for row in prompts)


def fitting_rows(
    job: Job, lm: HFModel, progress: Progress = quiet, *, answer: Answer = answered
) -> tuple[Request, tuple[Row, ...]]:
    """Return the rows to forget and those to keep, long texts in pieces, prompts to keep with answers.

    Args:
        job: What they are of.
        lm: The starting model.
        progress: Called with the prompts answered, and all of them.
        answer: Gives prompts to keep their answers.

    Raises:
        InputError: A row doesn't fit, also with the longest refusal or with an alternative answer where the
            objective reads one.
    """
    request = replace(job.request, rows=chunk_texts(job.request.rows, lm.codec))
    own = answer(lm, job.keep, progress) if job.keep else ()
    retain = (*chunk_texts(job.retain, lm.codec), *own)
    asked = job.others
    others = answer(lm, asked, progress) if asked else ()
    for row in (*request.rows, *retain, *others, *_otherwise(job, lm, request.rows, (*retain, *others))):
        lm.codec.encode(row)
    return request, (*retain, *as_many(others, len(retain)))


def _otherwise(job: Job, lm: HFModel, forget: Sequence[Row], retain: Sequence[Row]) -> list[Row]:
    """Return rows with the longest of the answers that the objective gives them in place of theirs."""
    read = {name.removesuffix("_ref") for t in job.terms.terms for name in t.item.inputs}
    refusal = max(job.refusals, key=lm.codec.count, default="")
    refused = (*(forget if "refusal" in read else ()), *(retain if "retain_refusal" in read else ()))
    alternates = ((row, text) for row in forget for text in row.wrong) if "alternate" in read else ()
    return [row.answered(text) for row, text in (*((row, refusal) for row in refused), *alternates) if text]
