"""Which forms a scan tries, and which of them are worth verifying."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from forgetwell.data.encoding import Codec
from forgetwell.metrics.statistics import Floats
from forgetwell.models.lm import LM
from forgetwell.scans.candidates import after_form, everyday_forms, word_form
from forgetwell.scans.harm import Harm, rises
from forgetwell.scans.traces import Traces
from forgetwell.scans.types import CLEAR, Phrase, ScanConfig
from forgetwell.types import Row


def candidate_forms(
    codec: Codec, words: Mapping[str, int], traces: Traces | None, count: int
) -> tuple[Phrase, ...]:
    """Return the everyday forms and `count` words: unexpected ones by trace, else the most frequent."""
    everyday = everyday_forms(codec)
    there = {f.text for f in everyday} | (traces.expected if traces else frozenset())
    more = [w for w in words if w not in there]
    if traces:
        left = {w: traces.of_word(w) for w in more}
        more.sort(key=lambda w: -left[w])
    return (*everyday, *(word_form(w, words[w]) for w in more[:count]))


def shipped_words(codec: Codec) -> dict[str, int]:
    """Return the everyday words in place of a vocabulary that has no whole words."""
    return {f.text: k for k, f in enumerate(everyday_forms(codec)) if f.frequency is not None}


def suspected_forms(
    harm: Harm,
    after: LM,
    forms: Sequence[Phrase],
    rows: Sequence[Row],
    traces: Traces | None,
    config: ScanConfig,
    count: Callable[[int], None],
) -> tuple[Phrase, ...]:
    """Return the forms to verify, and the first few words also behind the question.

    Up to half of the places go to the forms that left the clearest traces, whatever harm they seem to do; the
    others to those with the largest rise in `after`. All are asked on the first row, and the worst, a share
    `config.again`, on the rest.
    """
    means = _means(harm, after, forms, rows, config.again, count)
    traced = _traced(forms, traces)[: config.verified // 2]
    rest = [i for i in np.argsort(-means, kind="stable") if i not in traced]
    chosen = [forms[i] for i in (*traced, *rest[: config.verified - len(traced)])]
    words = [f for f in chosen if f.frequency is not None][: config.behind]
    return (*chosen, *(after_form(f) for f in words))


def screening_cost(forms: int, rows: int, again: float) -> int:
    """Return how many texts `suspected_forms` scores."""
    return forms + 1 + (rows - 1) * (_share(forms, again) + 1)


def _traced(forms: Sequence[Phrase], traces: Traces | None) -> list[int]:
    """Return the places of forms that left a trace, the clearest first."""
    left = {k: (traces.of(f) if traces else None) or 0.0 for k, f in enumerate(forms)}
    return sorted((k for k in left if left[k] >= CLEAR), key=lambda k: -left[k])


def _means(
    harm: Harm,
    after: LM,
    forms: Sequence[Phrase],
    rows: Sequence[Row],
    again: float,
    count: Callable[[int], None],
) -> Floats:
    """Return each form's mean rise over the rows; -∞ for those that were asked on the first row alone."""
    first = rises(harm, after, forms, rows[:1], count)[:, 0]
    chosen = np.sort(np.argsort(-first, kind="stable")[: _share(len(forms), again)])
    means = np.full(len(forms), -math.inf)
    means[chosen] = first[chosen]
    if len(rows) > 1:
        more = rises(harm, after, [forms[i] for i in chosen], rows[1:], count)
        means[chosen] = (first[chosen] + more.sum(1)) / len(rows)
    return means


def _share(count: int, share: float) -> int:
    return math.ceil(share * count)
