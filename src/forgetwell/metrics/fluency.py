"""Metrics of whether an answer is language at all."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import regex

from forgetwell.data.scripts import SPACELESS_WORD
from forgetwell.metrics.registry import row_metric
from forgetwell.types import Generation, TokenScores

_WORDS = re.compile(r"\w+|[^\w\s]")
_SPACELESS = regex.compile(SPACELESS_WORD)
_LOOP = re.compile(r"(?<!\S)(\S+(?: \S+){0,7})(?: \1){2,}(?!\S)")
_LONGEST_WORD = 40
_READABLE = 0.7  # least share of letters, marks, digits and spaces
_LOOPED = 0.5  # least share of the text that a loop must fill
_ODD = math.log(1000.0)  # loss per token at which the starting model finds a text implausible


@row_metric(
    better="high",
    meaning="How varied the wording is: low where the model repeats itself.",
    paper="2406.10890",
    range=(0.0, None),
)
def ngram_entropy(generated: Generation) -> float:
    """Weighted entropy of the answer's word pairs and triples, in bits; ≥ 0.

    ``(2/3 H_2 + 4/3 H_3) / 2`` with H_n the entropy of the n-grams' frequencies; n-grams that are not there
    have entropy 0. Long answers have more of it, so only equal generation lengths compare.

    Source: fluency of Jin et al. (RWKU), arXiv 2406.10890, section 4, after Meng et al. (ROME); words and
    single punctuation marks here, NLTK's tokens there.
    """
    words = _WORDS.findall(generated.text)
    return (2 / 3 * _entropy(words, 2) + 4 / 3 * _entropy(words, 3)) / 2


@row_metric(better="low", meaning="Whether the answer is empty, garbled or a loop.", paper="2506.12618")
def gibberish(generated: Generation, start: TokenScores | None = None) -> float:
    """1 where the answer is no language, else 0.

    Rule: it is empty; or fewer than 70 % of its characters are letters, with their vowel signs and accents,
    digits or spaces; or a word has more than 40 characters, where each character of a script written without
    spaces is a word; or a phrase of up to 8 words comes three times in a row or more and fills half of the
    text; or, where `start` is given (the answer scored by the starting model), that model's perplexity of it
    is above 1000. An unlearned model that is broken writes what the model before would not.

    Source: the gibberish rate of open-unlearning (arXiv 2506.12618) with a rule of our own in place of its
    classifier.
    """
    text = " ".join(generated.text.split())
    if not text or _unreadable(text) or _looping(text):
        return 1.0
    return float(start is not None and -sum(start.logps) / len(start.logps) > _ODD)


def _unreadable(text: str) -> bool:
    readable = sum(c == " " or unicodedata.category(c)[0] in "LMN" for c in text) / len(text)
    longest = max(map(len, _SPACELESS.sub(" ", text).split(" ")))
    return readable < _READABLE or longest > _LONGEST_WORD


def _looping(text: str) -> bool:
    found = max(_LOOP.finditer(text.lower()), key=lambda m: len(m[0]), default=None)
    return found is not None and len(found[0]) >= _LOOPED * len(text)


def _entropy(words: Sequence[str], n: int) -> float:
    counts = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    total = sum(counts.values())
    return -sum(c / total * math.log2(c / total) for c in counts.values()) + 0.0
