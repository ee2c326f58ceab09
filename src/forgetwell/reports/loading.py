"""Run folders as the report sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError, MissingError
from forgetwell.reports.visible import plain_text
from forgetwell.runs.folder import is_run, read_manifest
from forgetwell.runs.records import (
    is_complete,
    load_answers,
    load_evaluation,
    load_results,
    read_log,
    require_run,
)
from forgetwell.suites.types import is_to_forget
from forgetwell.types import Result

# What an evaluation takes over from the run whose model it measured.
_TRAINING = frozenset({"objective", "config", "lora", "request", "retain", "steps", "stopped", "seconds"})
NAME = 80  # longest name of a run, in characters
CONDITIONS = ("before", "plain", "attacked", "defended")


@dataclass(frozen=True)
class Probe:
    """What was measured at one training step: values by name, as "forget.rouge_l_recall"."""

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class RunView:
    """One run of the report.

    Attributes:
        name: Unique within the report.
        condition: One of `CONDITIONS`, or "".
        color: Number of its color, 0 … 7.
        manifest: As written.
        evaluation: Suite, generation length and the sets' roles, where known.
        results: Aggregates by (metric, split).
        answers: Measured rows by (split, id).
        probes: In order of steps.
    """

    name: str
    condition: str
    color: int
    manifest: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    results: Mapping[tuple[str, str], Result]
    answers: Mapping[tuple[str, str], Mapping[str, Any]]
    probes: tuple[Probe, ...]

    def get(self, metric: str, split: str) -> Result | None:
        """Return one aggregate, or None where it was not measured."""
        return self.results.get((metric, split))

    def role(self, split: str) -> str:
        """Return what a set is for (forget, retain, holdout, utility, scope); "" where nothing says it."""
        return str(self.evaluation.get("roles", {}).get(split.partition("/")[0], ""))

    def unwanted(self, split: str) -> bool:
        """Say whether the answers of a set are those to be forgotten."""
        return is_to_forget(split, self.role(split))


def load_runs(paths: Sequence[Path]) -> tuple[RunView, ...]:
    """Read finished runs, in the order given; those of known conditions come first, in their order.

    Raises:
        InputError: No run was given, or a file in one is damaged.
        MissingError: A folder is missing, or its run did not finish.
    """
    if not paths:
        raise InputError("A report needs at least one run folder; none was given.")
    for path in paths:
        require_run(path)
        if not is_complete(path):
            raise MissingError(f"{path} holds a run that did not finish. Resume it, or leave it out.")
    manifests = [read_manifest(p) for p in paths]
    names = _names(paths, manifests)
    runs = [_load(p, m, n, k) for k, (p, m, n) in enumerate(zip(paths, manifests, names, strict=True))]
    return tuple(sorted(runs, key=_rank))


def _rank(run: RunView) -> int:
    return CONDITIONS.index(run.condition) if run.condition else len(CONDITIONS)


def _names(paths: Sequence[Path], manifests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name each run by its manifest, else by its folder; equal names get a number."""
    given = [
        plain_text(m.get("name") or p.resolve().name, longest=NAME)
        for p, m in zip(paths, manifests, strict=True)
    ]
    twice, seen = Counter(given), Counter[str]()
    names = []
    for name in given:
        seen[name] += 1
        names.append(f"{name} ({seen[name]})" if twice[name] > 1 else name)
    return names


def _load(path: Path, own: Mapping[str, Any], name: str, index: int) -> RunView:
    parent = _trained(own)
    manifest = {**{k: v for k, v in _manifest(parent).items() if k in _TRAINING}, **own}
    condition = _condition(path, own)
    measured = {k: own[k] for k in ("suite", "max_new_tokens") if k in own} | load_evaluation(path)
    log = read_log(path) or (read_log(parent) if parent else [])
    return RunView(
        name,
        condition,
        CONDITIONS.index(condition) if condition else len(CONDITIONS) + index % 4,
        manifest,
        measured,
        {(r.metric, r.split): r for r in load_results(path)},
        {(str(a["split"]), str(a["id"])): _answer(a) for a in load_answers(path)},
        tuple(Probe(int(r["step"]), _numbers(r["probe"])) for r in log if r.get("probe")),
    )


def _condition(path: Path, manifest: Mapping[str, Any]) -> str:
    """Return a run's part in the comparison: as its manifest says, else as its folder is called."""
    given = manifest["condition"] if "condition" in manifest else path.resolve().name
    return str(given) if given in CONDITIONS else ""


def _trained(manifest: Mapping[str, Any]) -> Path | None:
    """Return the run that an evaluation measured, if its folder is still there."""
    if manifest.get("kind") != "evaluate":
        return None
    path = Path(str(manifest.get("model", "")))
    return next((p for p in (path, path.parent) if is_run(p) and is_complete(p)), None)


def _manifest(path: Path | None) -> Mapping[str, Any]:
    return read_manifest(path) if path else {}


def _answer(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row whose answer is a text, however it was stored."""
    said = row["generated"]
    if not isinstance(said, dict):
        return row
    return {**row, "generated": said.get("text"), "finished": said.get("finished")}


def _numbers(probe: Mapping[str, Any]) -> dict[str, float]:
    return {k: float(v) for k, v in probe.items() if isinstance(v, int | float)}
