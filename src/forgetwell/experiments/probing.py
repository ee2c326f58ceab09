"""What an experiment asks while a run goes on: every row's answer and its value, checkpoint by checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError
from forgetwell.files import digest, read_json, read_jsonl, write_json, write_jsonl
from forgetwell.models.lm import HFModel
from forgetwell.runs.folder import CURVE
from forgetwell.suites.probe import Said, answered, mean
from forgetwell.types import Row

ANSWERS = "answers.jsonl"

_Measured = dict[str, dict[str, Said]]  # split -> id


@dataclass(frozen=True)
class Questions:
    """What is asked at a checkpoint.

    Attributes:
        forget: Rows of the request.
        utility: Rows to keep, by split key.
        metric: Metric of a greedy answer.
        max_new_tokens: Length at which every answer is cut.
        utility_below: Forget value from which utility is asked.
    """

    forget: Sequence[Row]
    utility: Mapping[str, Sequence[Row]]
    metric: str
    max_new_tokens: int
    utility_below: float


@dataclass
class Probing:
    """Asks a run's questions and keeps what was said.

    Attributes:
        questions: What is asked.
        starts: Folder for what is measured before the first step, shared by runs that ask the same of the
            same model; None = it is measured anew.
        curve: A checkpoint's values, rows to which the metric does not apply left out.
        answers: A line of each answer.
    """

    questions: Questions
    starts: Path | None = None
    curve: list[dict[str, Any]] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def at(self, lm: HFModel, step: int, *, always: bool = False, then: bool = False) -> float:
        """Ask at a step; return the mean forget value.

        Args:
            lm: The model.
            step: Steps done; before the first one utility is always asked.
            always: Ask utility whatever is forgotten.
            then: Whether training has gone on without a forget term.

        Raises:
            InputError: The metric applies to no row of a split.
        """
        said = self._measure(lm, always=always) if step else self._start(lm)
        values = {key: measured_values(rows, key, self.questions.metric) for key, rows in said.items()}
        left = values.pop("forget")
        asked = {"utility": values} if values else {}
        self.curve.append({"step": step, "forget": left, **asked, **({"then": True} if then else {})})
        self.answers += [
            {"step": step, "split": key, "id": row_id, "answer": answer}
            for key, rows in said.items()
            for row_id, (answer, _) in rows.items()
        ]
        return mean(list(left.values()))

    def diverged(self) -> None:
        """Note at the last checkpoint that training diverged behind it: it is not the run's end."""
        self.curve[-1]["diverged"] = True

    def write(self, folder: Path) -> None:
        """Write both into a run's folder."""
        write_jsonl(folder / ANSWERS, self.answers)
        write_jsonl(folder / CURVE, self.curve)

    def _measure(self, lm: HFModel, *, always: bool) -> _Measured:
        asked = self.questions
        forget = _ask(lm, {"forget": asked.forget}, asked)
        if not always:
            left = mean(list(measured_values(forget["forget"], "forget", asked.metric).values()))
            always = left <= asked.utility_below
        return forget | _ask(lm, asked.utility, asked) if always else forget

    def _start(self, lm: HFModel) -> _Measured:
        if self.starts is None:
            return self._measure(lm, always=True)
        asked = self.questions
        parts = [asked.metric, asked.max_new_tokens, asked.forget, asked.utility]
        path = self.starts / f"{digest([lm.digest, str(lm.compute), *parts])}.json"
        if not path.exists():
            write_json(path, self._measure(lm, always=True))
        kept = read_json(path)
        return {key: {row_id: Said(*said) for row_id, said in rows.items()} for key, rows in kept.items()}


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """Return a finished run's checkpoints: step, forget {id: recall}, utility {split: {id: recall}}.

    A checkpoint with ``then`` comes after training went on without a forget term; behind one with
    ``diverged`` training diverged.
    """
    return read_jsonl(folder / CURVE)


def _ask(lm: HFModel, splits: Mapping[str, Sequence[Row]], asked: Questions) -> _Measured:
    everything = [row for rows in splits.values() for row in rows]
    said = iter(answered(lm, everything, asked.metric, max_new_tokens=asked.max_new_tokens))
    return {key: {row.id: next(said) for row in rows} for key, rows in splits.items()}


def measured_values(rows: Mapping[str, Said], key: str, metric: str) -> dict[str, float]:
    """Return the values of a set's rows by id, without those to which the metric doesn't apply.

    Raises:
        InputError: It applies to none.
    """
    kept = {row_id: round(said.value, 4) for row_id, said in rows.items() if said.value is not None}
    if not kept:
        raise InputError(f"{metric} applies to no row of {key}: measure it by another metric.")
    return kept
