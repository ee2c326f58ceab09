"""Which forms a scan tries, and which of them are worth verifying."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from forgetwell.data.encoding import Codec
from forgetwell.metrics.statistics import Floats
from forgetwell.models.lm import LM
from forgetwell.scans.candidates import Movement, after_form, everyday_forms, traces, word_form
from forgetwell.scans.harm import Harm, rises
from forgetwell.scans.types import Form, ScanConfig
from forgetwell.types import Row


def candidate_forms(
    codec: Codec, words: Mapping[str, int], moved: Movement | None, count: int
) -> tuple[Form, ...]:
    """Return the everyday forms and `count` words: those that moved most, else the most frequent ones."""
    everyday = everyday_forms(codec)
    there = {f.text for f in everyday}
    vocabulary = codec.tokenizer.get_vocab() if moved else {}
    share = {w: moved.of_word(w, n, vocabulary) if moved else 0.0 for w, n in words.items()}
    ranked = sorted(words, key=lambda w: (-share[w], words[w]))
    more = [w for w in ranked if w not in there][:count]
    return (*everyday, *(word_form(w, words[w]) for w in more))


def shipped_words(codec: Codec) -> dict[str, int]:
    """Return the everyday words in place of a vocabulary that has no whole words."""
    return {f.text: k for k, f in enumerate(everyday_forms(codec)) if f.frequency is not None}


def worst_forms(
    harm: Harm,
    after: LM,
    forms: Sequence[Form],
    rows: Sequence[Row],
    moved: Movement | None,
    config: ScanConfig,
    count: Callable[[int], None],
) -> tuple[Form, ...]:
    """Return the forms with the largest rise in `after`, and the first few words also behind the question.

    Half of the places are kept for forms that left a trace, where there is a movement. These are screened on
    all rows; the others on the first row, and the worst of them, a share `config.again`, on the rest.
    """
    left = [bool(moved and traces(moved.of(f))) for f in forms]
    means = _means(harm, after, forms, rows, left, config.again, count)
    order = [int(i) for i in np.argsort(-means, kind="stable")]
    traced = [i for i in order if left[i]][: config.verified // 2]
    rest = [i for i in order if i not in traced]
    worst = [forms[i] for i in (*traced, *rest[: config.verified - len(traced)])]
    words = [f for f in worst if f.frequency is not None][: config.behind]
    return (*worst, *(after_form(f) for f in words))


def screening_cost(forms: Sequence[Form], moved: Movement | None, rows: int, again: float) -> int:
    """Return how many texts `worst_forms` scores."""
    traced = sum(bool(moved and traces(moved.of(f))) for f in forms)
    return len(forms) + 2 + (rows - 1) * (traced + _share(len(forms) - traced, again) + 1)


def _means(
    harm: Harm,
    after: LM,
    forms: Sequence[Form],
    rows: Sequence[Row],
    left: Sequence[bool],
    again: float,
    count: Callable[[int], None],
) -> Floats:
    """Return each form's mean rise over the rows; -∞ for those that were asked on the first row alone."""
    first = rises(harm, after, forms, rows[:1], count)[:, 0]
    others = [int(i) for i in np.argsort(-first, kind="stable") if not left[i]]
    chosen = sorted([i for i, has in enumerate(left) if has] + others[: _share(len(others), again)])
    means = np.full(len(forms), -math.inf)
    means[chosen] = first[chosen]
    if len(rows) > 1:
        more = rises(harm, after, [forms[i] for i in chosen], rows[1:], count)
        means[chosen] = (first[chosen] + more.sum(1)) / len(rows)
    return means


def _share(count: int, share: float) -> int:
    return math.ceil(share * count)
