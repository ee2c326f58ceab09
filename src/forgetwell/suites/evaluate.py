"""Asking a model a suite: every distinct text once, then tables with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetwell.calls import parse_call
from forgetwell.metrics.registry import ROW_METRICS
from forgetwell.metrics.sets import Whose
from forgetwell.models.lm import LM
from forgetwell.models.processes import Processes
from forgetwell.suites.asking import ALONE, ask
from forgetwell.suites.cache import Cache
from forgetwell.suites.extras import with_gradients, with_start
from forgetwell.suites.plan import plan_metrics, tabulate
from forgetwell.suites.types import SplitRole, Suite
from forgetwell.suites.whole import RowValues
from forgetwell.types import Progress, Record, Result, quiet


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model said to a suite, and the tables made of it.

    Attributes:
        model: Name of the model.
        suite: Name of the suite.
        max_new_tokens: Length at which every greedy answer was cut.
        roles: What each set is for, by its name.
        records: The rows' records by split key.
        results: The tables' numbers: per split; the macro averages forget/clean, utility/clean,
            utility/trigger and utility/gap (clean - trigger); and set metrics, whose split is "run".
        left_out: A sentence for each metric that could not be computed, or not on some splits, and for splits
            that the model can't be asked.
    """

    model: str
    suite: str
    max_new_tokens: int
    roles: Mapping[str, SplitRole]
    records: Mapping[str, tuple[Record, ...]]
    results: tuple[Result, ...]
    left_out: tuple[str, ...] = ()


def evaluate_suite(
    lm: LM,
    suite: Suite,
    *,
    metrics: Sequence[str] | None = None,
    runs: Mapping[Whose, RowValues] | None = None,
    start: LM | None = None,
    seed: int = 0,
    cache: Cache | None = None,
    processes: Processes = ALONE,
    progress: Progress = quiet,
) -> Evaluation:
    """Ask a model everything in a suite and aggregate row metrics with 95 % intervals.

    Each distinct text is scored, and each distinct prompt answered, once over all splits. Wrong and
    paraphrased answers are scored clean and under the trigger; where a row has wrong answers but no
    paraphrase, its own answer serves as one, as in TOFU. Intervals resample subjects (rows, where they have
    none). A metric that applies to no row of a split has no result there, which `left_out` says.

    Args:
        lm: The model.
        suite: What to ask.
        metrics: Row and set metrics, as ``rouge_l_recall`` or ``privleak(score=loss)``. By default some row
            metrics, and those set metrics for which the suite has the rows.
        runs: Row values of earlier runs on the same rows: the reference, and the model before unlearning.
        start: The model before unlearning, for metrics that ask it what it thinks of the answers.
        seed: Of the bootstrap.
        cache: Records from before, and where to keep new ones.
        processes: This process among those that evaluate together.
        progress: Called with the number of texts scored or answered so far, and of all.

    Raises:
        UnknownName: There is no such metric.
        InputError: A metric's hyperparameter is wrong, or the suite lacks rows that a set metric reads.
        MissingError: A set metric needs a run that was not given.

    Source: 2506.00359, section 5; truth ratio on own answers: 2401.06121, section 2.2.
    """
    runs = runs or {}
    plan = plan_metrics(metrics, suite, runs)
    items = [ROW_METRICS.resolve(parse_call(m))[0] for m in plan.rows]
    wanted = {part for item in items for part in (*item.inputs, *item.facts["needs"])}
    records = ask(lm, suite, wanted, cache=cache, processes=processes, progress=progress)
    if start is not None and "start" in wanted:
        records = with_start(records, start)
    if "gradient" in wanted:
        records = with_gradients(records, lm)
    results, left_out = tabulate(lm.name, suite, records, plan, runs, seed)
    return Evaluation(lm.name, suite.name, suite.max_new_tokens, suite.roles, records, results, left_out)
