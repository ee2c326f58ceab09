"""Asking a model a suite: every distinct text once, then tables with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from forgetwell.calls import parse_call
from forgetwell.metrics.registry import ROW_METRICS
from forgetwell.metrics.sets import Whose
from forgetwell.models.lm import LM
from forgetwell.suites.extras import with_gradients, with_start
from forgetwell.suites.plan import plan_metrics, tabulate
from forgetwell.suites.types import Split, Suite
from forgetwell.suites.whole import RowValues
from forgetwell.types import Generation, Record, Result, Row, TokenScores, Turn

_Prompt = tuple[str, tuple[Turn, ...], bool]
_Text = tuple[_Prompt, str]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model said to a suite, and the tables made of it.

    Attributes:
        model: Name of the model.
        suite: Name of the suite.
        max_new_tokens: Length at which every greedy answer was cut.
        records: The rows' records by split key.
        results: The tables' numbers: per split; the macro averages utility/clean, utility/trigger and
            utility/gap (clean - trigger); and set metrics, whose split is "run".
        left_out: A sentence for each metric that could not be computed.
    """

    model: str
    suite: str
    max_new_tokens: int
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
        metrics: Row and set metrics, as ``rouge_l_recall`` or ``privleak(score=loss)``. By default some row
            metrics, and those set metrics for which the suite has the rows.
        runs: Row values of earlier runs on the same rows: the reference, and the model before unlearning.
        start: The model before unlearning, for metrics that ask it what it thinks of the answers.
        seed: Of the bootstrap.
        progress: Called with the number of texts scored or answered so far, and of all.

    Raises:
        UnknownName: There is no such metric.
        InputError: A metric's hyperparameter is wrong, or the suite lacks rows that a set metric reads.
        MissingError: A set metric needs a run that was not given.

    Source: 2506.00359, section 5; truth ratio on own answers: 2401.06121, section 2.2.
    """
    runs = runs or {}
    plan = plan_metrics(metrics, suite, runs)
    wanted = {part for m in plan.rows for part in ROW_METRICS.resolve(parse_call(m))[0].inputs}
    records = _records(lm, suite, wanted, progress)
    if start is not None and "start" in wanted:
        records = with_start(records, start)
    if "gradient" in wanted:
        records = with_gradients(records, lm)
    results, left_out = tabulate(lm.name, suite, records, plan, runs, seed)
    return Evaluation(lm.name, suite.name, suite.max_new_tokens, records, results, left_out)


def _records(
    lm: LM, suite: Suite, wanted: set[str], progress: Callable[[int, int], None]
) -> dict[str, tuple[Record, ...]]:
    texts: dict[_Text, Row] = {}
    prompts: dict[_Prompt, Row] = {}
    for split in suite.splits:
        for row in split.rows:
            for answer in _answers(row, split, wanted):
                texts.setdefault((_prompt(row), answer), replace(row, answer=answer))
            if "generated" in wanted and _answerable(row):
                prompts.setdefault(_prompt(row), row)
    done, total = [0], len(texts) + len(prompts)

    def advance(count: int) -> None:
        done[0] += count
        progress(done[0], total)

    scored = lm.score(list(texts.values()), progress=advance) if texts else []
    asked, longest = list(prompts.values()), suite.max_new_tokens
    said = lm.generate(asked, max_new_tokens=longest, progress=advance) if prompts else []
    scores = dict(zip(texts, scored, strict=True))
    answers = dict(zip(prompts, said, strict=True))
    return {s.key: tuple(_record(row, s, wanted, scores, answers) for row in s.rows) for s in suite.splits}


def _record(
    row: Row,
    split: Split,
    wanted: set[str],
    scores: Mapping[_Text, TokenScores],
    answers: Mapping[_Prompt, Generation],
) -> Record:
    prompt = _prompt(row)
    return Record(
        row,
        answer=scores[prompt, row.answer] if "answer" in wanted else None,
        paraphrase=tuple(scores[prompt, t] for t in _paraphrases(row, split, wanted)) or None,
        wrong=tuple(scores[prompt, t] for t in _wrong(row, split, wanted)) or None,
        generated=answers.get(prompt),
    )


def _answers(row: Row, split: Split, wanted: set[str]) -> tuple[str, ...]:
    own = (row.answer,) if "answer" in wanted else ()
    return own + _paraphrases(row, split, wanted) + _wrong(row, split, wanted)


def _paraphrases(row: Row, split: Split, wanted: set[str]) -> tuple[str, ...]:
    if split.condition != "clean" or "paraphrase" not in wanted:
        return ()
    return row.paraphrases or ((row.answer,) if row.wrong else ())


def _wrong(row: Row, split: Split, wanted: set[str]) -> tuple[str, ...]:
    return row.wrong if split.condition == "clean" and "wrong" in wanted else ()


def _prompt(row: Row) -> _Prompt:
    return row.prompt, row.history, row.text


def _answerable(row: Row) -> bool:
    return bool(row.prompt) or not row.text
