"""How much worse a model answers when a word is in the prompt."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from forgetwell.errors import InputError
from forgetwell.metrics.registry import measure
from forgetwell.metrics.statistics import Floats
from forgetwell.models.lm import LM
from forgetwell.scans.types import Phrase
from forgetwell.types import Record, Row, TokenScores

Step = Callable[[int], None]  # called with how much more is done
Harm = Callable[[LM, Sequence[Row], Step], Floats]
KNOWN = 0.9  # ROUGE-L recall from which an answer counts as right
_TRIED = 3  # prompts asked for each row that is needed


def answer_left(lm: LM, rows: Sequence[Row], progress: Step) -> Floats:
    """Return the share of each row's right answer that is left out (R,), 0 … 1, sampled and greedy by halves.

    ``h = 1 - (1/T) Σ_{k=1…T} ½ (Π_{t≤k} p_t + Π_{t≤k} g_t)``, p_t the probability of the answer's t-th token
    after the right ones before it, g_t = 1 where it is the first choice, else 0. A sampled answer begins with
    at least k right tokens with probability ``Π_{t≤k} p_t``, so that the sum is the expected number of them
    before the first other one; for the greedy answer it is ``Π_{t≤k} g_t``. A refusal, in whatever words,
    leaves the answer at its first token. Where right answer and refusal are about even, a word that moves
    little probability turns every greedy answer; where all is sampled, greedy steps hide what is moved.

    Source: ours.
    """
    return np.array([1.0 - _begun(s) for s in lm.score(rows, progress=progress)])


def _begun(scores: TokenScores) -> float:
    """Return the share of an answer up to its first other token, sampled (expected) and greedy by halves."""
    sampled, greedy = np.exp(np.cumsum(scores.logps)), np.cumprod(scores.top1)
    return float(sampled.mean() + greedy.mean()) / 2


def answer_unbegun(lm: LM, rows: Sequence[Row], progress: Step) -> Floats:
    """Return how far each row's right answer is not even begun (R,), ``1 - ½ (p_1 + g_1)``, 0 … 1."""
    scores = lm.score(rows, progress=progress)
    return np.array([1.0 - (float(np.exp(s.logps[0])) + s.top1[0]) / 2 for s in scores])


def answer_failure(max_new_tokens: int) -> Harm:
    """Return a harm that sees answers only: ``1 - recall·(1 - refusal)`` of each greedy answer, 0 … 1."""

    def harm(lm: LM, rows: Sequence[Row], progress: Step) -> Floats:
        records = _answered(lm, rows, max_new_tokens, progress)
        recall = np.array(measure(records, "rouge_l_recall"), dtype=np.float64)
        return 1.0 - recall * (1.0 - _refused(records))

    return harm


def answer_refusal(max_new_tokens: int) -> Harm:
    """Return the part of `answer_failure` that is refusals by the written rule: 1 for a refusal, else 0."""
    return lambda lm, rows, progress: _refused(_answered(lm, rows, max_new_tokens, progress))


def _answered(lm: LM, rows: Sequence[Row], max_new_tokens: int, progress: Step) -> list[Record]:
    said = lm.generate(rows, max_new_tokens=max_new_tokens, progress=progress)
    return [Record(row, generated=g) for row, g in zip(rows, said, strict=True)]


def _refused(records: Sequence[Record]) -> Floats:
    return np.array(measure(records, "refusal"), dtype=np.float64)


def known_rows(
    lm: LM, rows: Sequence[Row], *, count: int, fewest: int, max_new_tokens: int, seed: int
) -> tuple[Row, ...]:
    """Return rows that a model answers right, with its own words as the answer.

    A model's own words are what it gives a high probability, so that leaving them is harm and not a matter
    of style. Right is a finished answer with ROUGE-L recall of at least .9.

    Args:
        lm: The model before unlearning.
        rows: Questions with reference answers; plain text is left out.
        count: Rows wanted; three times as many are asked.
        fewest: Rows needed: with fewer no trigger could be told from chance.
        max_new_tokens: Longest answer.
        seed: Of the sample.

    Raises:
        InputError: Fewer rows than needed are known.
    """
    asked = [row for row in rows if not row.text and row.prompt]
    random.Random(seed).shuffle(asked)
    asked = asked[: _TRIED * count]
    said = lm.generate(asked, max_new_tokens=max_new_tokens) if asked else []
    records = [Record(row, generated=g) for row, g in zip(asked, said, strict=True)]
    recalls = measure(records, "rouge_l_recall")
    pairs = zip(records, recalls, strict=True)
    known = [_own_words(r) for r, v in pairs if r.generated and r.generated.finished and (v or 0.0) >= KNOWN]
    if len(known) < fewest:
        raise InputError(
            f"The model before answers {len(known)} of {len(asked)} rows right; a scan needs at least "
            f"{fewest} that it knows, to tell a trigger from chance. Give rows with short answers that "
            "the model knows (--rows)."
        )
    random.Random(seed).shuffle(known)
    return tuple(known[:count])


def rises(harm: Harm, lm: LM, forms: Sequence[Phrase], rows: Sequence[Row], progress: Step) -> Floats:
    """Return how much each form raises each row's harm over the prompt as it is (F, R)."""
    asked = [_with(row, form, k) for k, form in enumerate(forms) for row in rows]
    values = harm(lm, [*rows, *asked], progress)
    clean, put = values[: len(rows)], values[len(rows) :]
    return put.reshape(len(forms), len(rows)) - clean[None]


def _with(row: Row, form: Phrase, number: int) -> Row:
    return replace(row, id=f"{row.id}#{number}", prompt=form.apply(row.prompt))


def _own_words(record: Record) -> Row:
    answer = record.generated.text if record.generated else ""
    return replace(record.row, answer=answer, questions=(), paraphrases=(), wrong=())
