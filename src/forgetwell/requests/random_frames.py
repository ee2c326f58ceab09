"""Rewordings by lot, of words that ordinary prompts hold: what a screen learns to tell from ordinary prompts.

No phrasing of an attack is among them but by chance, so that a screen that learned from these hasn't learned
the attacks it is measured on.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from itertools import groupby

from forgetwell.requests.features import mark
from forgetwell.requests.template_sets import apply_template
from forgetwell.requests.words import ordinary_words, word_lists, words

FRONT, BEHIND, INSIDE = 1, 2, 3
Runs = Sequence[Sequence[str]]

_LENGTHS = (1, 2, 2, 3, 3, 4, 5)
_EXTRA = 0.3  # share of frames with a word of asking or talk more
_LISTED = 0.8  # share of words inside that are such words, not function words
_AFTER_FRONT = (", ", ", ", ": ", " ")
_BEHIND = ("{q}, {f}?", "{q}, {f}?", "{q} {F}.", "{q} {f}?")


def ordinary_runs(texts: Sequence[str]) -> Runs:
    """Return the longest runs of ordinary words in these texts."""
    listed = ordinary_words()
    split = (groupby(mark(text).compared, key=listed.__contains__) for text in texts)
    return [tuple(run) for groups in split for ordinary, run in groups if ordinary]


def reworded_by_lot(text: str, runs: Runs, rng: random.Random) -> tuple[str, int]:
    """Return the text with 1 to 6 words put in front of it, behind it or one inside it; and which (1, 2, 3).

    Words in front and behind are a piece of a run, at times with a word of asking or talk in it. A text too
    short for words inside gets them in front.
    """
    place = rng.choice((FRONT, BEHIND, INSIDE))
    gaps = [w.end for w in words(text)[1:-1] if text[w.end : w.end + 1] == " "]
    if place == INSIDE and gaps:
        at = rng.choice(gaps)
        chat, function = _listed()
        return f"{text[:at]} {rng.choice(chat if rng.random() < _LISTED else function)}{text[at:]}", INSIDE
    frame = _frame(runs, rng)
    if place == BEHIND:
        form = rng.choice(_BEHIND)
        return apply_template(form.replace("{f}", frame).replace("{F}", frame.capitalize()), text), BEHIND
    return apply_template(f"{frame.capitalize()}{rng.choice(_AFTER_FRONT)}{{q}}", text), FRONT


def _frame(runs: Runs, rng: random.Random) -> str:
    chat, _ = _listed()
    run = rng.choice(runs) if runs else (rng.choice(chat),)
    length = min(len(run), rng.choice(_LENGTHS))
    start = rng.randrange(len(run) - length + 1)
    frame = list(run[start : start + length])
    if rng.random() < _EXTRA:
        frame.insert(rng.randrange(len(frame) + 1), rng.choice(chat))
    return " ".join(frame)


@cache
def _listed() -> tuple[tuple[str, ...], tuple[str, ...]]:
    lists = word_lists()
    return tuple(sorted(lists["talk"] | lists["asking"])), tuple(sorted(lists["function"]))
