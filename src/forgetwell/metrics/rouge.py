"""ROUGE-L of the generated answer, by the field's reference package."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from forgetwell.metrics.registry import row_metric
from forgetwell.types import Generation, Row


@lru_cache(maxsize=1)
def _scorer() -> Any:  # noqa: ANN401 - the package is untyped
    from rouge_score import rouge_scorer

    return rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)


@row_metric(better="none", meaning="How much of the reference answer was said.", paper="2401.06121")
def rouge_l_recall(generated: Generation, row: Row) -> float:
    """Share of the reference answer's words found, in order, in the greedy answer; 0 … 1.

    ``recall = LCS(generated, reference) / |reference|`` after Porter stemming. Long outputs raise it, so the
    generation length is fixed and reported.

    Source: Maini et al. (TOFU), arXiv 2401.06121, section 2.2; computed by rouge-score.
    """
    return float(_scorer().score(row.answer, generated.text)["rougeL"].recall)


@row_metric(better="none", meaning="Agreement of answer and reference, both ways.", paper="2407.06460")
def rouge_l_f1(generated: Generation, row: Row) -> float:
    """Harmonic mean of ROUGE-L recall and precision; 0 … 1.

    Source: Shi et al. (MUSE), arXiv 2407.06460, section 3; with stemming, as open-unlearning has it.
    """
    return float(_scorer().score(row.answer, generated.text)["rougeL"].fmeasure)
