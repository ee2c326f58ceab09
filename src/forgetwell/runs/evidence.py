"""What a gate sees: the runs of one release, put in their places by digest, as numbers without text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError
from forgetwell.files import digest, file_sha256, read_jsonl, read_object
from forgetwell.models.loading import saved_digest
from forgetwell.runs.coverage import Coverage, Named, coverage, names_of
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
from forgetwell.suites.types import clean_id, is_to_forget

SCAN = "scan.json"
REQUEST = "request.jsonl"
Splits = Mapping[str, Mapping[str, "Measured"]]


@dataclass(frozen=True, slots=True)
class Measured:
    """One row's metrics.

    Attributes:
        cluster: Digest of its subject (of its id, where it has none).
        metrics: Values by metric.
        asked: Digest of its question, with what stood before it, and its right answer; "" where a ledger
            didn't keep it.
    """

    cluster: str
    metrics: Mapping[str, float]
    asked: str = ""


@dataclass(frozen=True)
class Evaluation:
    """All row values of one model, by split key and row, and each set's role; rows and subjects are digests.

    A row's key in another wording is that of its clean row with ``#k``, so that the two can be paired.

    Attributes:
        model: Digest of the model.
        splits: The rows by split key and row.
        roles: What each set is for.
        max_new_tokens: Length at which answers were cut; 0 = not known.
        to_forget: What the rows to forget name; a ledger doesn't keep it.
    """

    model: str
    splits: Splits
    roles: Mapping[str, str]
    max_new_tokens: int = 0
    to_forget: Named = frozenset()

    def facts(self) -> dict[str, Any]:
        """Return what the ledger keeps."""
        rows = {
            s: {k: [m.cluster, dict(m.metrics), m.asked] for k, m in r.items()}
            for s, r in self.splits.items()
        }
        facts = {"model": self.model, "splits": rows, "roles": dict(self.roles)}
        return {**facts, "max_new_tokens": self.max_new_tokens}


@dataclass(frozen=True)
class Evidence:
    """Everything that was handed in.

    Attributes:
        base: Digest of the model that unlearning started from.
        model: Digest of the model that would be released; "" where neither run, evaluation nor scan names it.
        request: Digest, rows and number of subjects of the request.
        run: Objective, digest and name of the unlearning run.
        evaluations: By digest of the model.
        scan: What a scan found, or None.
        seen: Path and SHA-256 of every file that was read.
        coverage: How much of the request the evaluation after it asked; None where that can't be told.
    """

    base: str
    model: str
    request: Mapping[str, Any]
    run: Mapping[str, Any]
    evaluations: Mapping[str, Evaluation]
    scan: Mapping[str, Any] | None
    seen: Mapping[str, str] = field(default_factory=dict)
    coverage: Coverage | None = None

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
    splits = {s: {k: Measured(*cell) for k, cell in rows.items()} for s, rows in facts["splits"].items()}
    roles, cut = facts.get("roles", {}), facts.get("max_new_tokens", 0)  # without: no set has a role
    return Evaluation(facts["model"], splits, roles, cut)


def gather(folders: Sequence[Path]) -> Evidence:
    """Read the folders of one release: one unlearning run, evaluations before and after it, a scan.

    Which is which follows from digests: after the run is the model that the run says it saved, or that of an
    evaluation or a scan that names the run's manifest, before it the one that the run says it started from.
    So none of another model, as of an earlier run in the same folder, can stand in.

    Raises:
        MissingError: A folder isn't there.
        InputError: A folder is no finished run, or does not belong to this release, or what measured the
            released model did not all measure the same weights, or its folder holds others by now.
    """
    kinds = {folder: _kind(folder) for folder in folders}
    trained = [f for f, kind in kinds.items() if kind == "unlearn"]
    if len(trained) != 1:
        raise InputError(
            f"{len(trained)} unlearning runs were given; a gate decides on one. Give its folder, the "
            "evaluations before and after it, and a scan."
        )
    (run,) = trained
    made, facts = file_sha256(run / MANIFEST), read_manifest(run)
    _need(run / MANIFEST, facts, "base_digest", "objective", "request")
    _need(run / MANIFEST, facts["request"], "rows", "digest")
    base = str(facts["base_digest"])
    measured = {f: read_manifest(f) for f, kind in kinds.items() if kind == "evaluate"}
    for folder, manifest in measured.items():
        _need(folder / MANIFEST, manifest, "digest")
    scans = {f: read_manifest(f) for f, kind in kinds.items() if kind == "scan"}
    named = {f: str(m["digest"]) for f, m in (measured | scans).items() if m.get("made_by") == made}
    model = _released(run, str(facts.get("digest", "")), named)
    _check_weights(run / "model", model)
    evaluations, request = _evaluations(measured), _request_rows(run, int(facts["request"]["rows"]))
    after = evaluations.get(model)
    return Evidence(
        base,
        model,
        _request(facts["request"], request),
        {"run": made, "objective": facts["objective"], "from": base, "made": model},
        evaluations,
        _scan(list(scans), base, model),
        {str(p): file_sha256(p) for f in folders for p in _files(f)},
        None if after is None else coverage(request, after.to_forget),
    )


def _need(path: Path, facts: Mapping[str, Any], *names: str) -> None:
    lacking = [name for name in names if facts.get(name) is None]
    if lacking:
        raise InputError(f"{path} lacks {', '.join(lacking)}: it was changed. Make the run again.")


def _released(run: Path, saved: str, named: Mapping[Path, str]) -> str:
    """Return the digest of the model that a run made, by the run itself and by what was measured after it.

    Args:
        run: The run.
        saved: What it says of the model it saved; "" = nothing.
        named: The models of the evaluations and scans that name the run.

    Raises:
        InputError: They don't name one model.
    """
    models = {run: saved, **named} if saved else named
    if len(set(models.values())) > 1:
        told = ", ".join(f"{digest_} by {folder}" for folder, digest_ in models.items())
        raise InputError(
            f"A release is one set of weights, and these name several: {told}. Evaluate and scan the model "
            f"that {run} holds, and give one evaluation of it; if its weights were changed after the run, "
            "make the run again."
        )
    return next(iter(models.values()), "")


def _check_weights(folder: Path, model: str) -> None:
    """Refuse a folder that holds another model than the one that was measured; none is fine."""
    held = saved_digest(folder) if folder.is_dir() else ""
    if held and model and held != model:
        raise InputError(
            f"{folder} holds another model ({held}) than the one that was made and measured ({model}): its "
            "files were changed after the run. Put them back, or make the run again."
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


def _request(facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what ledgers keep of a request: not its id, a file's name, which often is somebody's."""
    subjects = len({row["subject"] for row in rows if row.get("subject")})
    return {**{k: v for k, v in facts.items() if k != "id"}, "subjects": subjects}


def _request_rows(run: Path, count: int) -> list[dict[str, Any]]:
    """Return the rows of a run's request, without text.

    Raises:
        InputError: They aren't all there, so that nobody can tell whether the evaluation asked about them.
    """
    path = run / REQUEST
    rows = redact(read_jsonl(path, whole=True)) if path.is_file() else []
    if len(rows) != count:
        raise InputError(
            f"{path} has {len(rows)} of the request's {count} rows; the gate asks whether forgetting was "
            "measured on them. Put the file back (forgetwell purge leaves what the gate needs of it)."
        )
    return rows


def _evaluations(measured: Mapping[Path, Mapping[str, Any]]) -> dict[str, Evaluation]:
    found: dict[str, Evaluation] = {}
    for folder, manifest in measured.items():
        model = str(manifest["digest"])
        if model in found:
            raise InputError(f"{folder} is a second evaluation of the same model; give one of them.")
        found[model] = read_evaluation(folder, manifest)
    return found


def read_evaluation(folder: Path, manifest: Mapping[str, Any]) -> Evaluation:
    """Return the row values of an evaluation.

    Raises:
        InputError: Its answers can't be read, or what its sets are for.
    """
    roles = load_evaluation(folder).get("roles")
    if not isinstance(roles, dict):
        raise InputError(f"{folder} doesn't say what its sets are for; evaluate it again.")
    splits: dict[str, dict[str, Measured]] = {}
    answers = redact(load_answers(folder))  # so that rows of a purged evaluation and of another meet
    for row in answers:
        name = clean_id(str(row["split"]), str(row["id"]))
        key = digest(name) + str(row["id"])[len(name) :]  # with the number of a template
        values = _numbers(folder / ANSWERS, row)
        asked = digest([row.get("history"), row["prompt"], row["answer"]])
        measured = Measured(digest(row.get("subject") or name), values, asked)
        splits.setdefault(row["split"], {})[key] = measured
    told = [row for row in answers if is_to_forget(row["split"], roles.get(row["split"].partition("/")[0]))]
    cut = int(manifest.get("max_new_tokens", 0))
    return Evaluation(str(manifest["digest"]), splits, roles, cut, names_of(told))


def _numbers(path: Path, row: Mapping[str, Any]) -> dict[str, float]:
    """Return a row's metrics, those that don't apply to it left out."""
    metrics = row.get("metrics") or {}
    told = {k: v for k, v in metrics.items() if v is not None} if isinstance(metrics, dict) else {"": metrics}
    for name, value in told.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(
                f"{path}: {name or 'metrics'} of row {row['id']!r} is {value!r:.40}, no "
                "number. Evaluate again."
            )
    return {name: float(value) for name, value in told.items()}


def _scan(folders: Sequence[Path], base: str, model: str) -> Mapping[str, Any] | None:
    if not folders:
        return None
    if len(folders) > 1:
        raise InputError(f"{len(folders)} scans were given; give one.")
    facts = read_object(folders[0] / SCAN)
    if facts.get("before") != base or not model or facts.get("after") != model:
        raise InputError(
            f"{folders[0]} is a scan of other models than this run's, or of the run before it was made anew; "
            "scan the run's folder and what it started from."
        )
    _need(folders[0] / SCAN, facts, "triggers", "rows", "least")
    if "smallest_q" not in facts:
        raise InputError(f"{folders[0]} doesn't say how sure a finding could be; scan again.")
    return facts
