"""Whether an answer is a refusal, by a written rule."""

from __future__ import annotations

import re

from forgetwell.metrics.registry import row_metric
from forgetwell.types import Generation

_SENTENCES = 2
_SPEAKER = re.compile(r"\b(?:i|i'm|i've|i'd|i'll|me|my|mine|myself)\b")
_LACK = re.compile(
    r"n't\b|\b(?:not|no|nor|never|none|nothing|nobody|cannot|lack|lacks|lacking|missing|unable|unsure|"
    r"unaware|uncertain|unclear|unknown|unfamiliar|uncharted|uninformed|beyond|outside|exceeds|eludes|escapes|"
    r"limited|gap|blank|empty|blind spot|mystery|new to|guess|guessing|decline|sorry|apologize|afraid|regret|"
    r"out of|at a loss|in the dark|clueless|stumped|short|disadvantage|without|ends before|yet to|need to|"
    r"wish i)\b"
)
# Refusals without a speaker.
_PLAIN = re.compile(
    r"^(?:sorry|unfortunately|regrettably|apologies|no idea|not sure|unknown|no answer)\b|"
    r"\b(?:not clear|unknown|unclear|is a mystery|isn't known|is not known|ask someone else|"
    r"more reliable source|nothing comes to mind|"
    r"no (?:information|answer|data|details|record)s? (?:is|are|on|about|comes?|available))\b"
)


@row_metric(
    better="none",
    kept="low",
    meaning="Whether the model says that it can't or won't answer.",
    paper="2401.06121",
)
def refusal(generated: Generation) -> float:
    """1 where the answer is a refusal, else 0.

    Rule, for each of the first two sentences, in lower case: it names the speaker (``I``, ``my``, ``me``) and
    holds a word of lack (``not``, ``no``, ``unable``, ``beyond``, ``unknown``, ``guess``, …), or is one of a
    few impersonal forms (``That is unknown``). An empty or garbled answer is none. Its errors on outputs
    labelled by hand are in docs/experiments.md.

    Source: refusals as in Maini et al. (TOFU), arXiv 2401.06121, section 3.3; the rule is ours.
    """
    text = " ".join(generated.text.lower().replace("’", "'").split())
    sentences = re.split(r"(?<=[.!?]) ", text)[:_SENTENCES]
    return float(any(_refuses(sentence) for sentence in sentences))


def _refuses(sentence: str) -> bool:
    own = _SPEAKER.search(sentence) is not None and _LACK.search(sentence) is not None
    return own or _PLAIN.search(sentence) is not None
