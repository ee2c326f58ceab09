"""What tells a reworded row from an ordinary one: its surprises, and whether a question starts inside it.

A frame leaves the question whole. So behind “By the way,” the text goes on as ordinary prompts start and not
as they go on: that is the *new start*. Before “, and why?” it ends as prompts end: the *new end*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forgetwell.requests.features import MASK
from forgetwell.requests.grams import START, Grams
from forgetwell.requests.template_sets import QUESTION_WORDS, WH_WORDS
from forgetwell.requests.tokens import OTHER, tokens_of
from forgetwell.types import Span

EDGE = 4  # tokens of an opening or a closing where the text starts and ends but once
_SUBJECT = frozenset([MASK, OTHER])
_STOPS = frozenset([",", ":", "."])
_LEAST_GAIN = -3.0


@dataclass(frozen=True, slots=True)
class Traits:
    """What is measured of a text, and the three places where it may have been reworded.

    Attributes:
        values: See `traits_of`.
        spans: Its opening (up to the new start), its closing (from the new end), and the token least expected
            from both sides; (0, 0) in a text without tokens.
    """

    values: tuple[float, ...]
    spans: tuple[Span, Span, Span]


def traits_of(text: str, forward: Grams, backward: Grams) -> Traits:
    """Return a text's traits.

    In nats: the surprise (−log p) of the first 4 tokens; of the last 4; the largest −log p(token | two
    before) − log p(token | two after); the mean surprise of a token; the gain of the best new start and of
    the best new end, at least −3; the mean surprise of a token before the new start. As 0 or 1: no word of
    the subject stands before the new start; none behind the new end; the first question word is not the first
    token; the subject comes after a wh-word; something follows the last question mark; a stop comes before
    wh-word and subject; there are two wh-words; a comma follows the subject.

    Args:
        text: Any text.
        forward: Model of ordinary prompts' tokens from the start.
        backward: The same from the end.
    """
    tokens, spans = tokens_of(text)
    if not tokens:
        return Traits((0.0,) * TRAITS, ((0, 0),) * 3)
    reverse = tokens[::-1]
    before, after = forward.costs(tokens), backward.costs(reverse)
    both = [b + a for b, a in zip(before, after[-2::-1], strict=False)]  # without the ends
    inside = max(both)
    start, first = _new_start(tokens, before, forward)
    end, last = _new_start(reverse, after, backward)
    values = (
        sum(before[:EDGE]), sum(after[:EDGE]), inside, sum(before) / len(before),
        start, end, sum(before[:first]) / max(first, 1),
        _free(tokens[:first]), _free(reverse[:last]), *_order(tokens),
    )  # fmt: skip
    opening, closing = spans[: first or EDGE], spans[-(last or EDGE) :]
    return Traits(values, (_whole(opening), _whole(closing), spans[both.index(inside)]))


TRAITS = 15


def _new_start(tokens: Sequence[str], costs: Sequence[float], grams: Grams) -> tuple[float, int]:
    """Return the largest gain of two tokens as the first of a text over where they stand, and their place.

    The gain at s is log p(t_s t_{s+1} | start) − log p(t_s t_{s+1} | what is before); place 0 where none
    is above −3.
    """
    best, place = _LEAST_GAIN, 0
    for s in range(1, len(tokens) - 1):
        fresh = grams.cost((START, START, tokens[s])) + grams.cost((START, tokens[s], tokens[s + 1]))
        gain = costs[s] + costs[s + 1] - fresh
        if gain > best:
            best, place = gain, s
    return best, place


def _order(tokens: Sequence[str]) -> tuple[float, ...]:
    n = len(tokens)
    asks = next((i for i, t in enumerate(tokens) if t in WH_WORDS), n)
    subject = next((i for i, t in enumerate(tokens) if t in _SUBJECT), n)
    question = next((i for i, t in enumerate(tokens) if t in QUESTION_WORDS), n)
    ended = "?" in tokens and tokens[-1] != "?"
    found = (
        question > 0,
        subject > asks,
        ended,
        asks < n and not _STOPS.isdisjoint(tokens[: min(asks, subject)]),
        sum(t in WH_WORDS for t in tokens) > 1,
        "," in tokens[subject + 1 :],
    )
    return tuple(map(float, found))


def _free(tokens: Sequence[str]) -> float:
    return float(bool(tokens) and _SUBJECT.isdisjoint(tokens))


def _whole(spans: Sequence[Span]) -> Span:
    return spans[0][0], spans[-1][1]
