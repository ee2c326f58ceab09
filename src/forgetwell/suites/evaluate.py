"""Asking a model a suite: every distinct text once, then tables with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from forgetwell.calls import parse_call
from forgetwell.metrics.registry import ROW_METRICS, measure
from forgetwell.models.lm import LM
from forgetwell.models.processes import Processes
from forgetwell.suites.aggregate import Measured, split_results, utility_results
from forgetwell.suites.asking import ALONE, ask
from forgetwell.suites.cache import Cache
from forgetwell.suites.types import Suite
from forgetwell.types import Record, Result

METRICS = ("rouge_l_recall", "answer_prob", "truth_ratio", "refusal")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model said to a suite, and the tables made of it.

    Attributes:
        model: Name of the model.
        suite: Name of the suite.
        max_new_tokens: Length at which every greedy answer was cut.
        records: The rows' records by split key.
        results: The tables' numbers: per split, and the macro averages utility/clean, utility/trigger and
            utility/gap (clean - trigger).
    """

    model: str
    suite: str
    max_new_tokens: int
    records: Mapping[str, tuple[Record, ...]]
    results: tuple[Result, ...]


def evaluate_suite(
    lm: LM,
    suite: Suite,
    *,
    metrics: Sequence[str] = METRICS,
    seed: int = 0,
    cache: Cache | None = None,
    processes: Processes = ALONE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Ask a model everything in a suite and aggregate row metrics with 95 % intervals.

    Each distinct text is scored, and each distinct prompt answered, once over all splits. Wrong and
    paraphrased answers are scored in clean splits; where a row has wrong answers but no paraphrase, its
    own answer serves as one, as in TOFU. Intervals resample subjects (rows, where they have none). A metric
    that applies to no row of a split has no result there.

    Args:
        lm: The model.
        suite: What to ask.
        metrics: Row metrics, as ``rouge_l_recall`` or ``truth_ratio(variant=ratio)``.
        seed: Of the bootstrap.
        cache: Records from before, and where to keep new ones.
        processes: This process among those that evaluate together.
        progress: Called with the number of texts scored or answered so far, and of all.

    Raises:
        UnknownName: There is no such row metric.
        InputError: A metric's hyperparameter is wrong.

    Source: 2506.00359, section 5; truth ratio on own answers: 2401.06121, section 2.2.
    """
    items = [ROW_METRICS.resolve(parse_call(m))[0] for m in metrics]
    wanted = {part for item in items for part in (*item.inputs, *item.facts.get("needs", ()))}
    records = ask(lm, suite, wanted, cache=cache, processes=processes, progress=progress)
    results: list[Result] = []
    for metric in metrics:
        measured = [Measured(s, measure(records[s.key], metric)) for s in suite.splits]
        results += split_results(lm.name, metric, measured, seed)
        results += utility_results(lm.name, metric, measured, seed)
    return Evaluation(lm.name, suite.name, suite.max_new_tokens, records, tuple(results))
