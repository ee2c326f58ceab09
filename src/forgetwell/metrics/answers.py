"""Metrics of whether a short answer is right, after SQuAD's normalization."""

from __future__ import annotations

import re
import string
from collections import Counter

from forgetwell.metrics.registry import row_metric
from forgetwell.types import Generation, Row

_BLANK = re.compile(r"_{2,}")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalized(text: str) -> list[str]:
    """Return the words of a text in lower case, without ASCII punctuation and English articles.

    Source: SQuAD's evaluation, arXiv 1606.05250.
    """
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


@row_metric(better="none", meaning="Whether the answer is a right one, word for word.", paper="1606.05250")
def exact_match(generated: Generation, row: Row) -> float:
    """1 where the answer equals a right one after normalization, else 0.

    Right are the reference and every paraphrase of it. Lower case; punctuation and articles are left out.

    Source: Rajpurkar et al. (SQuAD), arXiv 1606.05250, section 6.1.
    """
    said = normalized(generated.text)
    return float(any(said == normalized(right) for right in _right(row)))


@row_metric(better="none", meaning="Share of words that answer and reference share.", paper="1606.05250")
def answer_f1(generated: Generation, row: Row) -> float:
    """Harmonic mean of word precision and recall against the closest right answer; 0 … 1.

    Words as in `exact_match`, counted as often as both have them. Two answers without a word are equal.

    Source: Rajpurkar et al. (SQuAD), arXiv 1606.05250, section 6.1.
    """
    said = normalized(generated.text)
    return max(_f1(said, normalized(right)) for right in _right(row))


@row_metric(better="none", meaning="Whether a right word for the blank was given.", paper="2406.10890")
def cloze(generated: Generation, row: Row) -> float | None:
    """1 where a right answer stands in the output as whole words, else 0.

    It applies to prompts with a blank (``__`` or more); None for others. Words as in `exact_match`. A model
    that repeats the sentence with the blank filled counts as right.

    Source: level 1 of Jin et al. (RWKU), arXiv 2406.10890, section 3.3, whose tables have `rouge_l_recall`
    on the same probes.
    """
    if not _BLANK.search(row.prompt):
        return None
    said = f" {' '.join(normalized(generated.text))} "
    rights = [words for right in _right(row) if (words := normalized(right))]
    return float(any(f" {' '.join(words)} " in said for words in rights))


def _right(row: Row) -> tuple[str, ...]:
    return (row.answer, *row.paraphrases)


def _f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    common = sum((Counter(said) & Counter(right)).values())
    return 2 * common / (len(said) + len(right))
