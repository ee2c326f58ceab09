"""Views: which rows a term is computed on, made from the pairs a step draws."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from forgetwell.data.encoding import Codec
from forgetwell.errors import InputError
from forgetwell.registry import Family
from forgetwell.types import Row

VIEWS = Family("view", "forgetwell.training")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pair:
    """What one place of a batch holds: a forget row, a retain row and a refusal line, if any.

    Attributes:
        forget: The forget row.
        retain: The retain row beside it.
        refusal: A refusal line for the questions.
        alternate: One of the forget row's alternative answers, or "".
        draw: Seed of what a view chooses at random for this place.
    """

    forget: Row | None
    retain: Row | None
    refusal: str = ""
    alternate: str = ""
    draw: str = ""


def view(function: Callable[..., Row]) -> Callable[..., Row]:
    """Register a view: ``(pair, codec, *, …) -> Row``; its keyword parameters come from the term's."""
    VIEWS.add(function)
    return function


@view
def forget(pair: Pair, codec: Codec) -> Row:
    """The forget row itself.

    Source: L_f of arXiv 2506.00359, eq. 1.
    """
    return _there(pair.forget, "forget")


@view
def retain(pair: Pair, codec: Codec) -> Row:
    """The retain row itself.

    Source: L_r of arXiv 2506.00359, eq. 1.
    """
    return _there(pair.retain, "retain")


@view
def refusal(pair: Pair, codec: Codec) -> Row:
    """The forget question with a refusal as its answer.

    Source: arXiv 2401.06121, section 3.3.
    """
    return _answering(_there(pair.forget, "forget"), pair.refusal)


@view
def retain_refusal(pair: Pair, codec: Codec) -> Row:
    """The retain question with a refusal as its answer.

    Source: arXiv 2410.08109, the answer preservation loss.
    """
    return _answering(_there(pair.retain, "retain"), pair.refusal)


@view
def alternate(pair: Pair, codec: Codec) -> Row:
    """The forget question with another plausible answer.

    Source: arXiv 2409.13474.
    """
    row = _there(pair.forget, "forget")
    if not pair.alternate:
        raise InputError(
            f"Forget row {row.id!r} has no alternative answers. Give some in a column 'alternate', or write "
            "them by: forgetwell alternates"
        )
    return _answering(row, pair.alternate)


@view
def scope(
    pair: Pair,
    codec: Codec,
    *,
    order: Literal["forget_first", "retain_first"] = "forget_first",
    separator: str = " ",
) -> Row:
    """Both prompts in one, with the retain answer.

    Two questions share one user turn. Plain text is joined as text: at most half the context of the
    forget text, then the retain text, of which alone tokens are scored. A forget prompt that leaves no
    room is cut, never the retain prompt or its answer.

    Source: arXiv 2506.00359, eq. 5; joining of plain text is ours.
    """
    target = _there(pair.retain, "retain")
    return _fitted(_signal(_there(pair.forget, "forget"), codec), target, order, separator, codec)


@view
def scope_part(pair: Pair, codec: Codec, *, longest: int = 4) -> Row:
    """The retain question beside a few words of the forget prompt, with the retain answer.

    A run of 1 to `longest` words, drawn anew for each place of each step, stands before the question or, if
    it comes from the second half of the forget prompt, after it: the words keep their side of a sentence.

    Raises:
        InputError: `longest` is below 1.

    Source: arXiv 2506.00359, eq. 5, with parts of the forget prompt instead of all of it: ours.
    """
    if longest < 1:
        raise InputError(f"longest={longest}; a part of a forget prompt has at least 1 word.")
    target = _there(pair.retain, "retain")
    words = _signal(_there(pair.forget, "forget"), codec).split()
    chance = random.Random(f"{pair.draw}/part")
    count = min(chance.randint(1, longest), len(words))
    first = chance.randint(0, len(words) - count)
    middle = first + count / 2
    order = "forget_first" if middle <= len(words) / 2 else "retain_first"
    return _fitted(" ".join(words[first : first + count]), target, order, " ", codec)


def _answering(row: Row, answer: str) -> Row:
    return replace(row, answer=answer, paraphrases=(), wrong=(), focus=())


def _signal(row: Row, codec: Codec) -> str:
    """Return the text that carries the forgetting signal."""
    return codec.cut(row.answer, codec.max_length // 2) if row.text else row.prompt


def _fitted(signal: str, target: Row, order: str, separator: str, codec: Codec) -> Row:
    """Join, cutting the signal where both are longer than the context."""
    joined = _join(signal, target, order, separator)
    excess = codec.length(joined) - codec.max_length
    if excess <= 0:
        return joined
    keep = codec.count(signal) - excess - 2  # re-tokenizing a cut text can add a token or two
    if keep < 1:
        raise InputError(
            f"Retain row {target.id!r} leaves no room for a forget prompt within {codec.max_length} "
            "tokens. Shorten it or raise the maximum length."
        )
    log.warning("The forget prompt before retain row %s was cut to %d tokens to fit.", target.id, keep)
    return _join(codec.cut(signal, keep), target, order, separator)


def _join(signal: str, target: Row, order: str, separator: str) -> Row:
    if target.text:
        return replace(target, prompt=signal + separator + target.prompt)
    parts = (signal, target.prompt) if order == "forget_first" else (target.prompt, signal)
    return replace(target, prompt=separator.join(parts))


def _there(row: Row | None, which: str) -> Row:
    if row is None:
        raise InputError(f"This objective needs {which} rows, and none were given.")
    return row
