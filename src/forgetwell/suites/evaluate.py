"""Asking a model a suite: every distinct text once, then tables with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from forgetwell.calls import parse_call
from forgetwell.metrics.registry import ROW_METRICS, measure
from forgetwell.metrics.statistics import (
    Interval,
    Sample,
    cluster_bootstrap,
    macro_bootstrap,
    paired_difference,
)
from forgetwell.models.lm import LM
from forgetwell.suites.types import Split, Suite
from forgetwell.types import Better, Generation, Record, Result, Row, TokenScores, Turn

METRICS = ("rouge_l_recall", "answer_prob", "truth_ratio", "refusal")
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
        results: The tables' numbers: per split, and the macro averages utility/clean, utility/trigger and
            utility/gap (clean - trigger).
    """

    model: str
    suite: str
    max_new_tokens: int
    records: Mapping[str, tuple[Record, ...]]
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class _Measured:
    """One metric on one split; a value is None where the metric does not apply."""

    split: Split
    values: Sequence[float | None]

    @property
    def skipped(self) -> int:
        return sum(v is None for v in self.values)

    def sample(self) -> Sample:
        there = [(v, r) for v, r in zip(self.values, self.split.rows, strict=True) if v is not None]
        return Sample([v for v, _ in there], [_cluster(r, self.split) for _, r in there])


def evaluate_suite(
    lm: LM,
    suite: Suite,
    *,
    metrics: Sequence[str] = METRICS,
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
        metrics: Row metrics, as ``rouge_l_recall`` or ``truth_ratio(variant=ratio)``.
        seed: Of the bootstrap.
        progress: Called with the number of texts scored or answered so far, and of all.

    Raises:
        UnknownName: There is no such row metric.
        InputError: A metric's hyperparameter is wrong.

    Source: 2506.00359, section 5; truth ratio on own answers: 2401.06121, section 2.2.
    """
    wanted = {part for m in metrics for part in ROW_METRICS.resolve(parse_call(m))[0].inputs}
    records = _records(lm, suite, wanted, progress)
    results: list[Result] = []
    for metric in metrics:
        measured = [_Measured(s, measure(records[s.key], metric)) for s in suite.splits]
        results += _split_results(lm.name, metric, measured, seed)
        results += _utility_results(lm.name, metric, measured, seed)
    return Evaluation(lm.name, suite.name, suite.max_new_tokens, records, tuple(results))


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


def _base(row: Row, split: Split) -> str:
    """Return the id of the clean row: a trigger row's is before the last '#'."""
    return row.id.rpartition("#")[0] if split.condition == "trigger" else row.id


def _cluster(row: Row, split: Split) -> str:
    return row.subject or _base(row, split)


def _split_results(lm: str, metric: str, measured: Sequence[_Measured], seed: int) -> list[Result]:
    results = []
    for m in measured:
        sample = m.sample()
        if sample.values:
            interval = cluster_bootstrap(sample, seed=seed)
            better = _better(metric, lower=m.split.role == "forget" or m.split.name == "leak")
            results.append(_result(lm, metric, m.split.key, interval, better, m.skipped))
    return results


def _utility_results(lm: str, metric: str, measured: Sequence[_Measured], seed: int) -> list[Result]:
    utility = [m for m in measured if m.split.role == "utility"]
    clean = [m for m in utility if m.split.condition == "clean"]
    trigger = [m for m in utility if m.split.condition == "trigger"]
    bases = {m.split.name: m for m in clean}
    gaps = [_gap(bases[m.split.name], m) for m in trigger if m.split.name in bases]
    tables = (
        ("utility/clean", [m.sample() for m in clean], clean, _better(metric, lower=False)),
        ("utility/trigger", [m.sample() for m in trigger], trigger, _better(metric, lower=False)),
        ("utility/gap", gaps, trigger, _better(metric, lower=True)),
    )
    results = []
    for key, samples, sets, better in tables:
        there = [s for s in samples if s.values]
        if there:
            interval = macro_bootstrap(there, seed=seed)
            skipped = sum(len(m.values) for m in sets) - interval.n
            results.append(_result(lm, metric, key, interval, better, skipped))
    return results


def _gap(clean: _Measured, trigger: _Measured) -> Sample:
    """Return clean - trigger, one value for each trigger row whose clean row has a value too."""
    before = {row.id: v for row, v in zip(clean.split.rows, clean.values, strict=True)}
    rows = zip(trigger.split.rows, trigger.values, strict=True)
    pairs = [(before.get(_base(row, trigger.split)), v, row) for row, v in rows]
    there = [(a, b, row) for a, b, row in pairs if a is not None and b is not None]
    clusters = [_cluster(row, trigger.split) for _, _, row in there]
    return paired_difference([a for a, _, _ in there], [b for _, b, _ in there], clusters)


def _better(metric: str, *, lower: bool) -> Better:
    call = parse_call(metric)
    if call.arguments or ROW_METRICS.get(call.name).facts["better"] != "none":
        return "none"  # a variant or a metric with a direction of its own: the split's role can't say
    return "low" if lower else "high"


def _result(lm: str, metric: str, key: str, interval: Interval, better: Better, skipped: int) -> Result:
    return Result(
        lm, "", metric, key, interval.value, interval.low, interval.high, interval.n, better, skipped
    )
