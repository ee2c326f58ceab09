"""A scan from two models to a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from forgetwell.data.reading import read_rows
from forgetwell.data.world import load_world
from forgetwell.files import digest, write_json, write_jsonl
from forgetwell.models.hardware import type_name
from forgetwell.models.lm import LM, load
from forgetwell.runs.evidence import SCAN
from forgetwell.runs.folder import alone, is_done, made_by, start_run, started_with, write_manifest
from forgetwell.scans import triggers
from forgetwell.scans.types import ScanResult
from forgetwell.suites.probe import mean, recalls
from forgetwell.types import Progress, Row, quiet

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


def scan(
    before: str | Path,
    after: str | Path,
    rows: Sequence[Row] | str | Path | None = None,
    *,
    out: str | Path | None = None,
    black_box: bool = False,
    dtype: str = "auto",
    overwrite: bool = False,
    progress: Progress = quiet,
) -> ScanResult:
    """Scan a model for triggers; with `out`, keep what was found as a run: scan.json, examples.jsonl.

    A scan that was interrupted begins anew in its folder.

    Args:
        before: The model before unlearning: smollm2, a folder or a hub id.
        after: The model after it.
        rows: Ordinary questions with answers, or where to read them; by default the built-in world's
            (`default_rows`).
        out: The run folder.
        black_box: Use answers only.
        dtype: Compute type.
        overwrite: Replace a run that is there.
        progress: Called with texts scored or answered, and all.

    Raises:
        ExistsError: `out` holds something.
        Busy: Another process is working there.
        InputError: The models can't be compared, or `before` knows too few rows.
    """
    given = read_rows(rows) if isinstance(rows, str | Path) else rows
    folder = None if out is None else Path(out)
    settings: dict[str, Any] = {
        "kind": "scan",
        "model": str(after),
        "before": str(before),
        "made_by": made_by(after),
        "black_box": black_box,
        "rows": "world" if given is None else digest(tuple(given)),
    }
    early, late = load(before, dtype=dtype), load(after, dtype=dtype)
    with ExitStack() as ending:
        if folder is not None:
            ending.enter_context(alone(folder))
            broken_off = started_with(folder, settings) and not is_done(folder, settings)
            start_run(folder, settings, overwrite=overwrite, resume=broken_off, reads=(before, after))
        asked = default_rows(early) if given is None else given
        result = triggers.scan(early, late, asked, black_box=black_box, progress=progress)
        if folder is not None:
            _write(folder, result, {**settings, "digest": late.digest, "compute": type_name(late.compute)})
    return result


def _write(folder: Path, result: ScanResult, manifest: Mapping[str, Any]) -> None:
    facts = result.facts()
    # Text lies apart from numbers, in lines, where `purge` finds it.
    examples = [{"rank": k, **e} for k, t in enumerate(facts["triggers"], 1) for e in t.pop("examples")]
    write_jsonl(folder / EXAMPLES, examples)
    write_json(folder / SCAN, facts)
    write_manifest(folder, manifest)
