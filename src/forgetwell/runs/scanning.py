"""A scan from two models to a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from forgetwell.data.world import load_world
from forgetwell.files import digest, write_json, write_jsonl
from forgetwell.models.lm import LM, load
from forgetwell.runs.evidence import SCAN
from forgetwell.runs.folder import start_run, write_manifest
from forgetwell.runs.jobs import Progress
from forgetwell.scans.triggers import scan
from forgetwell.scans.types import ScanResult
from forgetwell.suites.probe import mean, recalls
from forgetwell.types import Row

EXAMPLES = "examples.jsonl"
KNOWN = 0.7  # mean recall from which a model has learned the built-in world
_TRIED = 8


def default_rows(lm: LM) -> tuple[Row, ...]:
    """Return the built-in world's people to be kept where the model has learned them, else general questions.

    Triggers show first on questions of the kind that requests are about.
    """
    world = load_world()
    people = (*world.unseen, *world.retain)
    learned = mean(recalls(lm, people[:: len(people) // _TRIED], max_new_tokens=24)) >= KNOWN
    return people if learned else world.evaluation


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
        rows: Ordinary questions with answers; by default the built-in world's (`default_rows`).
        out: The run folder.
        black_box: Use answers only.
        dtype: Compute type.
        overwrite: Replace a run that is there.
        progress: Called with texts scored or answered, and all.

    Raises:
        ExistsError: `out` holds something.
        InputError: The models can't be compared, or `before` knows too few rows.
    """
    settings: dict[str, Any] = {
        "kind": "scan",
        "model": after,
        "before": before,
        "black_box": black_box,
        "rows": "world" if rows is None else digest(tuple(rows)),
    }
    if out is not None:
        start_run(out, settings, overwrite=overwrite)
    early, late = load(before, dtype=dtype), load(after, dtype=dtype)
    asked = default_rows(early) if rows is None else rows
    result = scan(early, late, asked, black_box=black_box, progress=progress)
    if out is not None:
        facts = result.facts()
        # Text lies apart from numbers, in lines, where `purge` finds it.
        examples = [{"rank": k, **e} for k, t in enumerate(facts["triggers"], 1) for e in t.pop("examples")]
        write_jsonl(out / EXAMPLES, examples)
        write_json(out / SCAN, facts)
        write_manifest(out, {**settings, "digest": late.digest})
    return result
