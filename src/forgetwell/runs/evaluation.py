"""Evaluation to a folder: results and answers as JSON Lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from forgetwell.data.reading import read_rows
from forgetwell.data.world import load_world
from forgetwell.models.lm import load
from forgetwell.requests.template_sets import load_templates
from forgetwell.runs.folder import start_run, write_manifest
from forgetwell.runs.records import save_evaluation
from forgetwell.suites.evaluate import Evaluation, evaluate_suite
from forgetwell.suites.protocol import protocol_suite
from forgetwell.suites.types import Suite
from forgetwell.types import Row


def tofu_suite(
    forget: Sequence[Row], *, templates: str = "tofu", limit: int | None = None, max_new_tokens: int = 40
) -> Suite:
    """Return the TOFU protocol: three utility sets, clean and in every template, beside the forget rows.

    Args:
        forget: The forget rows, before any attack.
        templates: Template set of the trigger condition.
        limit: Rows of each utility set at most.
        max_new_tokens: Length of answers.

    Source: arXiv 2506.00359, section 5.
    """
    names = ("retain", "real_authors", "world_facts")
    utility = {name: read_rows(f"tofu:{name}_perturbed", limit=limit) for name in names}
    return protocol_suite("tofu", forget, utility, load_templates(templates), max_new_tokens=max_new_tokens)


def world_suite(*, templates: str = "tofu", limit: int | None = None, max_new_tokens: int = 24) -> Suite:
    """Return the protocol on the built-in world.

    Utility sets: people that unlearning trains on to keep, people it never sees, and general questions.

    Args:
        templates: Template set of the trigger condition.
        limit: Rows of each set at most.
        max_new_tokens: Length of answers.

    Source: the protocol of arXiv 2506.00359, section 5, on data of our own.
    """
    world = load_world()
    utility = {"retain": world.retain, "unseen": world.unseen, "general": world.evaluation}
    chosen = {name: rows[:limit] for name, rows in utility.items()}
    forget = world.request[:limit]
    return protocol_suite("world", forget, chosen, load_templates(templates), max_new_tokens=max_new_tokens)


def evaluate(
    model: str,
    suite: Suite,
    out: Path,
    *,
    seed: int = 0,
    dtype: str = "auto",
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Evaluate a model on a suite into the folder `out`: results.jsonl, answers.jsonl, manifest.json.

    Raises:
        ExistsError: `out` holds something.
    """
    settings: dict[str, Any] = {"kind": "evaluate", "model": model, "suite": suite.name, "seed": seed}
    settings["max_new_tokens"] = suite.max_new_tokens
    lm = load(model, dtype=dtype)
    start_run(out, settings, overwrite=overwrite)
    evaluation = evaluate_suite(lm, suite, seed=seed, progress=progress)
    save_evaluation(out, evaluation)
    write_manifest(out, {**settings, "digest": lm.digest})
    return evaluation
