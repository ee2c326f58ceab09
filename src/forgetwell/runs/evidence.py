"""What a gate sees: the runs of one release, put in their places by digest, as numbers without text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError
from forgetwell.files import digest, file_sha256, read_jsonl, read_object
from forgetwell.runs.folder import MANIFEST, read_manifest
from forgetwell.runs.records import (
    ANSWERS,
    EVALUATION,
    RESULTS,
    is_complete,
    load_answers,
    load_evaluation,
    require_run,
)
from forgetwell.runs.redaction import redact
from forgetwell.suites.types import clean_id

SCAN = "scan.json"
REQUEST = "request.jsonl"
Splits = Mapping[str, Mapping[str, "Measured"]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One row's metrics; `cluster` is a digest of its subject (of its id, where it has none)."""

    cluster: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Evaluation:
    """All row values of one model, by split key and row, and each set's role; rows and subjects are digests.

    A row's key in another wording is that of its clean row with ``#k``, so that the two can be paired.
    """

    model: str
    splits: Splits
    roles: Mapping[str, str]

    def facts(self) -> dict[str, Any]:
        """Return what the ledger keeps."""
        rows = {s: {k: [m.cluster, dict(m.metrics)] for k, m in r.items()} for s, r in self.splits.items()}
        return {"model": self.model, "splits": rows, "roles": dict(self.roles)}


@dataclass(frozen=True)
class Evidence:
    """Everything that was handed in.

    Attributes:
        base: Digest of the model that unlearning started from.
        model: Digest of the model that would be released; "" where no evaluation or scan names it.
        request: Digest, id, rows and number of subjects of the request.
        run: Objective, digest and name of the unlearning run.
        evaluations: By digest of the model.
        scan: What a scan found, or None.
        seen: Path and SHA-256 of every file that was read.
    """

    base: str
    model: str
    request: Mapping[str, Any]
    run: Mapping[str, Any]
    evaluations: Mapping[str, Evaluation]
    scan: Mapping[str, Any] | None
    seen: Mapping[str, str] = field(default_factory=dict)

    @property
    def before(self) -> Evaluation | None:
        """The evaluation of the model before, if there is one."""
        return self.evaluations.get(self.base)

    @property
    def after(self) -> Evaluation | None:
        """The evaluation of the model after, if there is one."""
        return self.evaluations.get(self.model)


def evaluation_from(facts: Mapping[str, Any]) -> Evaluation:
    """Return an evaluation that the ledger kept."""
    splits = {s: {k: Measured(c, m) for k, (c, m) in rows.items()} for s, rows in facts["splits"].items()}
    return Evaluation(facts["model"], splits, facts.get("roles", {}))  # without: no set has a role


def gather(folders: Sequence[Path]) -> Evidence:
    """Read the folders of one release: one unlearning run, evaluations before and after it, a scan.

    Which is which follows from digests: after the run is the model of an evaluation or a scan that names the
    run's manifest, before it the one that the run says it started from. So none of another model, as of an
    earlier run in the same folder, can stand in.

    Raises:
        MissingError: A folder isn't there.
        InputError: A folder is no finished run, or does not belong to this release.
    """
    kinds = {folder: _kind(folder) for folder in folders}
    trained = [f for f, kind in kinds.items() if kind == "unlearn"]
    if len(trained) != 1:
        raise InputError(
            f"{len(trained)} unlearning runs were given; a gate decides on one. Give its folder, the "
            "evaluations before and after it, and a scan."
        )
    (run,) = trained
    made, base = file_sha256(run / MANIFEST), str(read_manifest(run)["base_digest"])
    measured = {f: read_manifest(f) for f, kind in kinds.items() if kind == "evaluate"}
    scans = {f: read_manifest(f) for f, kind in kinds.items() if kind == "scan"}
    named = [m for m in (*measured.values(), *scans.values()) if m.get("made_by") == made]
    models = {str(m["digest"]) for m in named}
    scan = _scan(list(scans), base, models)
    model = next(iter(sorted(models)), "")
    return Evidence(
        base,
        model,
        _request(run),
        {"run": made, "objective": read_manifest(run)["objective"], "from": base, "made": model},
        _evaluations(measured),
        scan,
        {str(p): file_sha256(p) for f in folders for p in _files(f)},
    )


def _kind(folder: Path) -> str:
    require_run(folder)
    if not is_complete(folder):
        raise InputError(f"{folder} is a run that has not finished; finish it with --resume or run it again.")
    kind = str(read_manifest(folder).get("kind"))
    if kind not in ("unlearn", "evaluate", "scan"):
        raise InputError(f"{folder} is a run of kind {kind}; a gate reads unlearn, evaluate and scan runs.")
    return kind


def _files(folder: Path) -> list[Path]:
    names = (MANIFEST, REQUEST, EVALUATION, RESULTS, ANSWERS, SCAN)
    return [folder / name for name in names if (folder / name).is_file()]


def _request(run: Path) -> dict[str, Any]:
    facts = dict(read_manifest(run)["request"])
    rows = read_jsonl(run / REQUEST, whole=True) if (run / REQUEST).is_file() else []
    return {**facts, "subjects": len({row["subject"] for row in rows if row.get("subject")})}


def _evaluations(measured: Mapping[Path, Mapping[str, Any]]) -> dict[str, Evaluation]:
    found: dict[str, Evaluation] = {}
    for folder, manifest in measured.items():
        model = str(manifest["digest"])
        if model in found:
            raise InputError(f"{folder} is a second evaluation of the same model; give one of them.")
        found[model] = read_evaluation(folder, model)
    return found


def read_evaluation(folder: Path, model: str) -> Evaluation:
    """Return the row values of an evaluation.

    Raises:
        InputError: Its answers can't be read, or what its sets are for.
    """
    splits: dict[str, dict[str, Measured]] = {}
    for row in redact(load_answers(folder)):  # so that rows of a purged evaluation and of another meet
        name = clean_id(str(row["split"]), str(row["id"]))
        key = digest(name) + str(row["id"])[len(name) :]  # with the number of a template
        values = {k: float(v) for k, v in (row.get("metrics") or {}).items() if v is not None}
        splits.setdefault(row["split"], {})[key] = Measured(digest(row.get("subject") or name), values)
    roles = load_evaluation(folder).get("roles")
    if roles is None:
        raise InputError(f"{folder} doesn't say what its sets are for; evaluate it again.")
    return Evaluation(model, splits, roles)


def _scan(folders: Sequence[Path], base: str, models: set[str]) -> Mapping[str, Any] | None:
    if not folders:
        return None
    if len(folders) > 1:
        raise InputError(f"{len(folders)} scans were given; give one.")
    facts = read_object(folders[0] / SCAN)
    if facts.get("before") != base or facts.get("after") not in models:
        raise InputError(
            f"{folders[0]} is a scan of other models than this run's, or of the run before it was made anew; "
            "scan the run's folder and what it started from."
        )
    if "smallest_q" not in facts:
        raise InputError(f"{folders[0]} doesn't say how sure a finding could be; scan again.")
    return facts
