"""What a run measured: tables and answers, written by an evaluation and read by the report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetwell.calls import parse_call
from forgetwell.errors import InputError, MissingError
from forgetwell.files import read_jsonl, read_object, write_json, write_jsonl
from forgetwell.metrics.registry import ROW_METRICS, measure
from forgetwell.runs.folder import KINDS, LOG, MANIFEST, STARTED, is_run
from forgetwell.types import Result

if TYPE_CHECKING:  # a report is made without loading torch
    from forgetwell.suites.evaluate import Evaluation

RESULTS = "results.jsonl"
ANSWERS = "answers.jsonl"
EVALUATION = "evaluation.json"

Json = dict[str, Any]
_FIELDS = tuple(f.name for f in dataclasses.fields(Result))  # others that a file may have are left aside


def is_complete(path: Path) -> bool:
    """Say whether a run came to its end: the manifest is written last."""
    return (path / MANIFEST).is_file()


def read_log(path: Path) -> list[Json]:
    """Return the training log of a run, one record a step; empty where there is none."""
    return _read(path / LOG, whole=False)


def save_evaluation(
    path: Path, evaluation: Evaluation, *, change: Callable[[Iterable[Json]], Iterable[Json]] = iter
) -> None:
    """Write evaluation.json, answers.jsonl and results.jsonl into a run, the results last.

    Args:
        path: The run folder.
        evaluation: What was measured.
        change: What becomes of the answers before a file holds them, as `redact`.

    Raises:
        WriteFailed: The disk refused; each file is as it was before, or new and whole.
    """
    facts = {name: getattr(evaluation, name) for name in ("model", "suite", "max_new_tokens")}
    facts |= {"roles": dict(evaluation.roles), "left_out": list(evaluation.left_out)}
    write_json(path / EVALUATION, facts)
    write_jsonl(path / ANSWERS, change(_answers(evaluation)))
    write_jsonl(path / RESULTS, evaluation.results)


def load_evaluation(path: Path) -> Json:
    """Return model, suite, max_new_tokens, roles and left_out of an evaluation; empty where there is none."""
    return read_object(path / EVALUATION) if (path / EVALUATION).is_file() else {}


def load_results(path: Path) -> tuple[Result, ...]:
    """Return the aggregates of a run; empty where nothing was measured.

    Raises:
        InputError: A line is not a result, with its number.
    """
    return tuple(_result(path / RESULTS, k, r) for k, r in enumerate(_read(path / RESULTS), 1))


def load_answers(path: Path) -> tuple[Json, ...]:
    """Return one dict a measured row: split, id, history (if any), prompt, answer, generated, metrics."""
    rows = _read(path / ANSWERS)
    for number, row in enumerate(rows, 1):
        if not {"split", "id", "prompt", "answer", "generated"} <= row.keys():
            raise InputError(
                f"{path / ANSWERS}, line {number}: expected split, id, prompt, answer and generated, got "
                f"{', '.join(map(str, row)) or 'nothing'}. Evaluate the run again."
            )
    return tuple(rows)


def load_row_values(path: Path) -> dict[tuple[str, str], dict[str, float | None]]:
    """Return the row values of an evaluation by (metric, split), then by id; None = not applicable.

    Raises:
        MissingError: There is no such folder, or nothing was measured in it.
        InputError: The folder is no run of ours, or a file in it is damaged.
    """
    require_run(path)
    rows = load_answers(path)
    if not rows:
        raise MissingError(f"{path} holds no evaluation. Give the folder that forgetwell evaluate wrote.")
    values: dict[tuple[str, str], dict[str, float | None]] = {}
    for row in rows:
        for metric, value in (row.get("metrics") or {}).items():
            values.setdefault((metric, str(row["split"])), {})[str(row["id"])] = value
    return values


def require_run(path: Path) -> None:
    """Check that a folder is a run.

    Raises:
        MissingError: There is no such folder.
        InputError: The folder is no run of ours.
    """
    if not path.is_dir():
        raise MissingError(f"There is no run folder {path}. Give the folder that a command wrote with --out.")
    if not is_run(path):
        raise InputError(
            f"{path} is no run of forgetwell: expected a {MANIFEST} or {STARTED} that names one of the kinds "
            f"{', '.join(KINDS)}. Give the folder that a command wrote with --out."
        )


def _answers(evaluation: Evaluation) -> Iterator[Json]:
    names = tuple(dict.fromkeys(r.metric for r in evaluation.results if _is_row_metric(r.metric)))
    for split, records in evaluation.records.items():
        columns = {name: measure(records, name) for name in names}
        for k, record in enumerate(records):
            yield {
                "split": split,
                "id": record.row.id,
                "subject": record.row.subject,
                **(
                    {"history": [dataclasses.asdict(t) for t in record.row.history]}
                    if record.row.history
                    else {}
                ),
                "prompt": record.row.prompt,
                "answer": record.row.answer,
                "generated": record.generated.text if record.generated else None,
                "finished": record.generated.finished if record.generated else None,
                "metrics": {name: values[k] for name, values in columns.items()},
            }


def _is_row_metric(metric: str) -> bool:
    try:
        return parse_call(metric).name in ROW_METRICS.names()
    except InputError:
        return False


def _read(path: Path, *, whole: bool = True) -> list[Json]:
    return read_jsonl(path, whole=whole) if path.is_file() else []


def _result(path: Path, number: int, facts: Json) -> Result:
    try:
        result = Result(**{name: facts[name] for name in _FIELDS if name in facts})
        fine = all(math.isfinite(x) for x in (result.value, *result.ends))
    except TypeError:
        fine = False
    if not fine:
        raise InputError(
            f"{path}, line {number}: expected a result with the fields {', '.join(_FIELDS)} and finite "
            "numbers. Evaluate the run again."
        )
    return result
