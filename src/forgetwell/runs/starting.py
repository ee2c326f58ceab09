"""What a job would meet in some step and can be known before the first, so that nothing is written for it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from forgetwell.calls import parse_call
from forgetwell.methods.finetune import adapted, check_adapters
from forgetwell.models.hidden import reading_layers
from forgetwell.models.lm import HFModel
from forgetwell.objectives.algebra import Objective, WeightedTerm
from forgetwell.runs.job import Job
from forgetwell.training.draws import Draws
from forgetwell.training.rules import STEP_RULES, Descent
from forgetwell.training.state import sides
from forgetwell.training.step import make_views, read_layers, row_keys
from forgetwell.training.terms import only_updated
from forgetwell.training.views import Pair, alternate, check_room
from forgetwell.types import Request, Row


def check_start(job: Job, lm: HFModel, request: Request, retain: tuple[Row, ...]) -> None:
    """Refuse what would end a job's training in some step, or before the first.

    Args:
        job: What is trained.
        lm: The starting model.
        request: The rows to forget, as they are trained on (`fitting_rows`).
        retain: Those to keep.

    Raises:
        InputError: Adapters can't be put on the model or merged, it lacks layers that a term names, rows that
            a term reads are missing or leave no room, or the step rule can't be followed.
    """
    check_adapters(lm, job.lora)
    objective = job.terms
    _check_layers(lm, objective, full=job.lora is None and not adapted(lm))
    if not STEP_RULES.get(parse_call(job.config.step_rule).name).code:  # one's own may count its calls
        passes(job.config.step_rule, objective)
    draws = Draws(request.rows, retain, job.refusals, job.config.batch, job.config.seed)
    make_views(row_keys(objective), draws.pairs(0)[:1], lm.codec)
    _check_rows(lm, objective, request.rows, retain)


def _check_layers(lm: HFModel, objective: Objective, *, full: bool) -> None:
    """Refuse layers that the model doesn't have; with `full`, all its parameters will be trainable."""
    with reading_layers(lm.module.decoder, read_layers(objective)):
        pass
    if full:
        with only_updated(lm, objective):
            pass


def _check_rows(lm: HFModel, objective: Objective, forget: Sequence[Row], retain: Sequence[Row]) -> None:
    """Refuse rows that a view can't be made of, wherever they are drawn."""
    for key in row_keys(objective):
        if key.name == "alternate":
            for row in forget:
                alternate(Pair(row, None, alternate=next(iter(row.wrong), "")), lm.codec)
        if key.name == "scope":
            options: dict[str, Any] = dict(key.options)
            check_room(forget, retain, lm.codec, **options)


def passes(step_rule: str, objective: Objective) -> int:
    """Return how often a step runs rows through the model: the rule is asked, on a model of one weight.

    Raises:
        InputError: The rule's hyperparameters can't be meant.
    """
    item, settings = STEP_RULES.resolve(parse_call(step_rule))
    weight, passes = torch.nn.Parameter(torch.zeros(1)), 0

    def counting(terms: Collection[WeightedTerm]) -> Callable[[], dict[str, float]]:
        def run() -> dict[str, float]:
            nonlocal passes
            passes += 1
            weight.grad = torch.ones(1)
            return {term.label: 0.0 for term in terms}

        return run

    forget, keep = (counting(terms) if terms else None for terms in sides(objective))
    item.function(Descent([weight], forget, keep, counting(objective.terms)), **settings)
    return passes
