"""Evaluation to a folder: results, answers and records as JSON Lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError
from forgetwell.files import digest, file_sha256, sha256
from forgetwell.models.lm import HFModel, load
from forgetwell.models.processes import started_processes
from forgetwell.runs.folder import MANIFEST, is_run, start_run, started_with, versions, write_manifest
from forgetwell.runs.jobs import Progress
from forgetwell.runs.records import save_evaluation
from forgetwell.runs.redaction import purge
from forgetwell.suites.cache import Cache, open_cache
from forgetwell.suites.evaluate import Evaluation, evaluate_suite
from forgetwell.suites.registry import build_suite
from forgetwell.suites.types import Suite

RECORDS = "records.jsonl"
MAX_LENGTH = 4096  # tokens of a row; few-shot prompts are longer than what is trained on


def evaluation_settings(model: str, suite: Suite, *, seed: int) -> dict[str, Any]:
    """Return all that decides an evaluation's numbers, with the run that made the model, if one did."""
    made = Path(model) / MANIFEST
    return {
        "kind": "evaluate",
        "model": model,
        "suite": suite.name,
        "rows": digest(suite),
        "max_new_tokens": suite.max_new_tokens,
        "seed": seed,
        "made_by": file_sha256(made) if made.is_file() else "",
    }


def evaluate(
    model: str,
    suite: Suite | str,
    out: str | Path,
    *,
    seed: int = 0,
    dtype: str = "auto",
    name: str = "",
    condition: str = "",
    cache: str | Path | None = None,
    redact: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> Evaluation:
    """Evaluate a model on a suite into `out`: results.jsonl, answers.jsonl, records.jsonl, manifest.json.

    Under ``accelerate launch`` all processes take part, and the first writes.

    Args:
        model: ``smollm2``, a folder (model, adapter or run) or a hub id.
        suite: What to ask, or its name with options, as ``tofu(split=forget05)``.
        out: The folder.
        seed: Of intervals.
        dtype: Compute type.
        name: What reports call it; by default its folder's name.
        condition: Its part in a comparison (before, plain, attacked, defended); by default its folder's name.
        cache: Folder of records that evaluations share, so that no text is asked twice of one model; by
            default they are kept in `out` alone.
        redact: Keep digests instead of questions and answers.
        resume: Go on after an interruption.
        overwrite: Replace a run that is there.
        progress: Called with texts scored or answered, and all.

    Raises:
        ExistsError: `out` holds something.
        UnknownName: There is no such suite.
        InputError: What is to be resumed was begun with other settings.
    """
    asked = build_suite(suite) if isinstance(suite, str) else suite
    processes, out = started_processes(), Path(out)
    settings = evaluation_settings(model, asked, seed=seed)
    lm = load(model, dtype=dtype, max_length=MAX_LENGTH)
    records = Cache(None)
    if processes.first:
        _start(out, settings, overwrite=overwrite, resume=resume)
        records = open_cache(_records_file(lm, out, cache), identity(lm), texts=not redact)
    evaluation = evaluate_suite(lm, asked, seed=seed, cache=records, processes=processes, progress=progress)
    if processes.first:
        save_evaluation(out, evaluation)
        if redact:
            purge(out)
        labels = {k: v for k, v in (("name", name), ("condition", condition)) if v}
        write_manifest(out, {**settings, **labels, "digest": lm.digest, "processes": processes.count})
    return evaluation


def identity(lm: HFModel) -> str:
    """Return a digest of all but the text that decides a record: weights, tokens, types, versions."""
    return sha256([lm.digest, lm.codec.digest, str(lm.compute), lm.device.type, versions()])


def _records_file(lm: HFModel, out: Path, cache: str | Path | None) -> Path:
    if cache is None:
        return out / RECORDS
    return Path(cache) / f"{identity(lm).removeprefix('sha256:')[:16]}.jsonl"


def _start(out: Path, settings: Mapping[str, Any], *, overwrite: bool, resume: bool) -> None:
    if resume and not overwrite and is_run(out) and not started_with(out, settings):
        raise InputError(
            f"{out} was begun with another model, suite or seed. Give those again, choose another --out, or "
            "add --overwrite."
        )
    start_run(out, settings, overwrite=overwrite, resume=resume)
