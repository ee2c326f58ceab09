"""Length and language outliers."""

from __future__ import annotations

from collections import Counter

import numpy as np
from scipy.stats import norm

from forgetwell.metrics.comparison import benjamini_hochberg
from forgetwell.requests.features import LANGUAGES
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.words import ordinary_words, screened_text, word_lists, words
from forgetwell.types import Finding, Request, Row

_LEAST_SCALE = 0.15  # of log word counts: prompts of one length only must not make every other an outlier


@screen(null="log word counts are normal with the background's median and MAD; the language is the usual one")
def outliers(request: Request, evidence: Evidence, *, alpha: float = 0.01) -> list[Finding]:
    """Find rows that are far longer or shorter than ordinary prompts, or in another language than most rows.

    Length: z = (log(1 + words) − median) / (1.4826 MAD) over the background, two-sided normal p-value,
    Benjamini-Hochberg over rows. Language: a row with at least two listed words of a language, and more of
    them than listed English ones, where most rows are in another.

    Args:
        request: The request.
        evidence: The background is used.
        alpha: Largest adjusted p-value of a length outlier.

    Returns:
        A warning for each row; statistic = z, or the number of foreign words.

    Source: ours; robust z-scores: Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993.
    """
    return [*_lengths(request, evidence, alpha), *_languages(request)]


def language(row: Row) -> str:
    """Return the language of a row by its listed words: english unless another has two and more of them."""
    found = {w.text for w in words(screened_text(row))}
    english = len(found & ordinary_words())
    counts = {n: len((found & word_lists()[n]) - ordinary_words()) for n in LANGUAGES}
    best = max(counts, key=lambda n: counts[n])
    return best if counts[best] >= 2 and counts[best] > english else "english"


def _lengths(request: Request, evidence: Evidence, alpha: float) -> list[Finding]:
    usual = np.array([_log_words(row) for row in evidence.background])
    if not len(usual) or not request.rows:
        return []
    center = float(np.median(usual))
    scale = max(1.4826 * float(np.median(np.abs(usual - center))), _LEAST_SCALE)
    z = (np.array([_log_words(row) for row in request.rows]) - center) / scale
    q = benjamini_hochberg(2 * norm.sf(np.abs(z)))
    return [
        Finding(
            "outliers", row.id, None, "warning", float(z[i]), float(q[i]),
            f"{'Longer' if z[i] > 0 else 'Shorter'} than ordinary prompts: {len(words(screened_text(row)))} "
            f"words, where half of them have at most {round(np.expm1(center))}.",
        )
        for i, row in enumerate(request.rows)
        if q[i] <= alpha
    ]  # fmt: skip


def _languages(request: Request) -> list[Finding]:
    spoken = [language(row) for row in request.rows]
    usual = Counter(spoken).most_common(1)[0][0] if spoken else ""
    return [
        Finding(
            "outliers",
            row.id,
            None,
            "warning",
            1.0,
            None,
            f"The row is in {own.capitalize()}; most are in {usual.capitalize()}.",
        )
        for row, own in zip(request.rows, spoken, strict=True)
        if own != usual
    ]


def _log_words(row: Row) -> float:
    return float(np.log1p(len(words(screened_text(row)))))
