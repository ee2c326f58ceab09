"""A short measurement during training: three ROUGE means at a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from forgetwell.errors import InputError
from forgetwell.metrics.registry import measure
from forgetwell.models.lm import LM
from forgetwell.types import Record, Row

_METRIC = "rouge_l_recall"


def make_probe(
    forget: Sequence[Row],
    clean: Sequence[Row],
    trigger: Sequence[Row],
    *,
    max_new_tokens: int = 32,
) -> Callable[[LM, int], dict[str, float]]:
    """Return a probe of forgetting, clean utility and benign-trigger utility.

    Its keys are ``forget.rouge_l_recall``, ``utility.rouge_l_recall`` and ``trigger.rouge_l_recall``; each
    value is a plain mean over the rows, 0 … 1.

    Args:
        forget: Rows to forget.
        clean: Rows to keep, as they are.
        trigger: Rows to keep, with the trigger.
        max_new_tokens: Length at which every greedy answer is cut.

    Raises:
        InputError: A set is empty.

    Source: 2506.00359, figure 1.
    """
    sets = {"forget": tuple(forget), "utility": tuple(clean), "trigger": tuple(trigger)}
    for name, rows in sets.items():
        if not rows:
            raise InputError(f"The probe's {name} set has no rows; give at least one.")
    everything = [row for rows in sets.values() for row in rows]

    def probe(lm: LM, step: int) -> dict[str, float]:
        said = lm.generate(everything, max_new_tokens=max_new_tokens)
        records = iter(Record(row, generated=g) for row, g in zip(everything, said, strict=True))
        return {f"{name}.{_METRIC}": _mean([next(records) for _ in rows]) for name, rows in sets.items()}

    return probe


def _mean(records: Sequence[Record]) -> float:
    values = [v for v in measure(records, _METRIC) if v is not None]
    return sum(values) / len(values)
