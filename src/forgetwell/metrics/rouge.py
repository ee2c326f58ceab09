"""ROUGE of the generated answer, by the field's reference package.

The package's words are runs of a … z and 0 … 9, so that an answer in another script has none, and everything
would be worth 0. Here words in other scripts count as well, a character each where a script is written
without spaces; what is written in Latin letters is read exactly as by the package.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import regex

from forgetwell.data.facts import fact_words
from forgetwell.data.scripts import FOREIGN_WORD
from forgetwell.metrics.registry import row_metric
from forgetwell.types import Generation, Row

_FOREIGN = regex.compile(FOREIGN_WORD)


@dataclass(frozen=True)
class _Words:
    """A tokenizer as `rouge_score` calls it; `latin` is the package's own."""

    latin: Any

    def tokenize(self, text: str) -> list[str]:
        words, at, lower = [], 0, unicodedata.normalize("NFKC", text).lower()
        matches = list(_FOREIGN.finditer(lower))
        if not matches:
            return list(self.latin.tokenize(text))
        for match in matches:
            words += [*self.latin.tokenize(lower[at : match.start()]), match[0]]
            at = match.end()
        return [*words, *self.latin.tokenize(lower[at:])]


@lru_cache(maxsize=2)
def _scorer(stem: bool) -> Any:  # noqa: ANN401 - the package is untyped
    from rouge_score import rouge_scorer
    from rouge_score.tokenizers import DefaultTokenizer

    return rouge_scorer.RougeScorer(["rouge1", "rougeL"], tokenizer=_Words(DefaultTokenizer(stem)))


def _rouge(reference: str, text: str, kind: str, stem: bool = True) -> Any:  # noqa: ANN401
    return _scorer(stem).score(reference, text)[kind]


@row_metric(better="none", meaning="How much of the reference answer was said.", paper="2401.06121")
def rouge_l_recall(generated: Generation, row: Row) -> float:
    """Share of the reference answer's words found, in order, in the greedy answer; 0 … 1.

    ``recall = LCS(generated, reference) / |reference|`` after Porter stemming. Long outputs raise it, so the
    generation length is fixed and reported.

    Source: Maini et al. (TOFU), arXiv 2401.06121, section 2.2; computed by rouge-score.
    """
    return float(_rouge(row.answer, generated.text, "rougeL").recall)


@row_metric(better="none", meaning="How much of the fact itself was said.", paper="2506.03142")
def fact_recall(generated: Generation, row: Row) -> float | None:
    """Share of the words that say the fact found in the greedy answer, in any order; 0 … 1.

    The fact is what `forgetwell.data.facts.fact_words` finds: the words of the reference answer that no wrong
    answer has. The rest of an answer is a form that a model may keep on purpose: one that says another town
    in the same sentence has forgotten, and has a `rouge_l_recall` of most of the sentence. After Porter
    stemming; None for rows without wrong answers, or whose words they all share.

    Source: ours; unwanted and general words as in arXiv 2506.03142; computed by rouge-score.
    """
    words = fact_words(row)
    return float(_rouge(" ".join(words), generated.text, "rouge1").recall) if words else None


@row_metric(better="none", meaning="Agreement of answer and reference, both ways.", paper="2407.06460")
def rouge_l_f1(generated: Generation, row: Row) -> float:
    """Harmonic mean of ROUGE-L recall and precision; 0 … 1.

    Source: Shi et al. (MUSE), arXiv 2407.06460, section 3; with stemming, as open-unlearning has it.
    """
    return float(_rouge(row.answer, generated.text, "rougeL").fmeasure)


@row_metric(
    better="none",
    meaning="How much of the reference answer was said, in any order.",
    paper="2401.06121",
)
def rouge_1_recall(generated: Generation, row: Row) -> float:
    """Share of the reference answer's words found in the greedy answer, in any order; 0 … 1.

    Words are counted as often as both texts have them, after Porter stemming.

    Source: TOFU's logs (arXiv 2401.06121) carry it beside ROUGE-L; computed by rouge-score.
    """
    return float(_rouge(row.answer, generated.text, "rouge1").recall)


@row_metric(
    better="none", meaning="Agreement of the words of answer and reference, in any order.", paper="2407.06460"
)
def rouge_1_f1(generated: Generation, row: Row) -> float:
    """Harmonic mean of ROUGE-1 recall and precision; 0 … 1.

    Source: unigram counterpart of the ROUGE of MUSE, arXiv 2407.06460, section 3; computed by rouge-score.
    """
    return float(_rouge(row.answer, generated.text, "rouge1").fmeasure)


@row_metric(
    better="none",
    meaning="How closely the model continues a text as it stands in the training data.",
    paper="2407.06460",
)
def verbatim_memorization(generated: Generation, row: Row, *, stem: bool = True) -> float | None:
    """ROUGE-L F1 of the continuation of a plain text against the true one; 0 … 1.

    It applies to plain texts that are asked with their beginning as prompt; None for questions.

    Source: VerbMem of Shi et al. (MUSE), arXiv 2407.06460, section 3.1. MUSE's own tables are without
    stemming (stem=False); open-unlearning's are with it.
    """
    return float(_rouge(row.answer, generated.text, "rougeL", stem).fmeasure) if row.text else None


@row_metric(
    better="none",
    meaning="How well the model answers a question on the training data.",
    paper="2407.06460",
)
def knowledge_memorization(generated: Generation, row: Row, *, stem: bool = True) -> float | None:
    """ROUGE-L F1 of the answer up to a blank line or a further question, against the true one; 0 … 1.

    It applies to questions; None for plain texts. Cutting there is what MUSE's few-shot prompts need: a
    base model goes on with questions of its own.

    Source: KnowMem of Shi et al. (MUSE), arXiv 2407.06460, section 3.1. MUSE's own tables are without
    stemming (stem=False); open-unlearning's are with it.
    """
    if row.text:
        return None
    said = generated.text.strip().split("\n\n")[0].split("Question:")[0]
    return float(_rouge(row.answer, said, "rougeL", stem).fmeasure)
