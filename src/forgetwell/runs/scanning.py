"""A scan from two models to a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forgetwell.data.world import load_world
from forgetwell.files import digest, write_json, write_jsonl
from forgetwell.models.lm import load
from forgetwell.runs.evidence import SCAN
from forgetwell.runs.folder import start_run, write_manifest
from forgetwell.runs.jobs import Progress
from forgetwell.scans.triggers import scan
from forgetwell.scans.types import ScanResult
from forgetwell.types import Row

EXAMPLES = "examples.jsonl"


def default_rows() -> tuple[Row, ...]:
    """Return the world's people to be kept and general questions; a scan uses those that the model knows."""
    world = load_world()
    people = (*world.unseen, *world.retain)
    return (*people, *world.evaluation[: len(people)])


def run_scan(
    before: str,
    after: str,
    rows: Sequence[Row] | None = None,
    *,
    out: Path | None = None,
    black_box: bool = False,
    dtype: str = "auto",
    overwrite: bool = False,
    progress: Progress = lambda done, total: None,
) -> ScanResult:
    """Scan a model for triggers; with `out`, keep what was found as a run: scan.json, examples.jsonl.

    Args:
        before: The model before unlearning: smollm2, a folder or a hub id.
        after: The model after it.
        rows: Ordinary questions; by default the built-in world's people to be kept and general questions.
        out: The run folder.
        black_box: Use answers only.
        dtype: Compute type.
        overwrite: Replace a run that is there.
        progress: Called with texts scored or answered, and all.

    Raises:
        ExistsError: `out` holds something.
        InputError: The models can't be compared, or `before` knows too few rows.
    """
    asked = default_rows() if rows is None else tuple(rows)
    settings: dict[str, Any] = {
        "kind": "scan",
        "model": after,
        "before": before,
        "black_box": black_box,
        "rows": digest(asked),
    }
    if out is not None:
        start_run(out, settings, overwrite=overwrite)
    early, late = load(before, dtype=dtype), load(after, dtype=dtype)
    result = scan(early, late, asked, black_box=black_box, progress=progress)
    if out is not None:
        facts = result.facts()
        # Text lies apart from numbers, in lines, where `purge` finds it.
        examples = [{"rank": k, **e} for k, t in enumerate(facts["triggers"], 1) for e in t.pop("examples")]
        write_jsonl(out / EXAMPLES, examples)
        write_json(out / SCAN, facts)
        write_manifest(out, {**settings, "digest": late.digest})
    return result
