"""Views: which rows a term is computed on, made from the pairs a step draws."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from forgetwell.data.encoding import Codec
from forgetwell.data.facts import fact_words
from forgetwell.data.turns import joined_turns
from forgetwell.errors import InputError
from forgetwell.objectives.algebra import Objective
from forgetwell.objectives.registry import Unwanted
from forgetwell.objectives.scope import Order
from forgetwell.registry import Family, Item
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
        others: The forget rows of the places that follow, as many as a batch has beside this one.
    """

    forget: Row | None
    retain: Row | None
    refusal: str = ""
    alternate: str = ""
    draw: str = ""
    others: tuple[Row, ...] = ()


@dataclass(frozen=True)
class Piece:
    """Words of a forget prompt and the side of the retain question on which they stand."""

    text: str
    order: Order


def view(function: Callable[..., Row]) -> Callable[..., Row]:
    """Register a view: ``(pair, codec, *, …) -> Row``; its keyword parameters come from the term's."""
    VIEWS.add(function)
    return function


@view
def forget(pair: Pair, codec: Codec, *, unwanted: Unwanted = "focus") -> Row:
    """The forget row itself, with its own focus or with the words of its answer that say the fact.

    Source: L_f of arXiv 2506.00359, eq. 1; the focus on facts is ours.
    """
    row = _there(pair.forget, "forget")
    return replace(row, focus=fact_words(row)) if unwanted == "facts" else row


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
    return _there(pair.forget, "forget").answered(pair.refusal)


@view
def retain_refusal(pair: Pair, codec: Codec) -> Row:
    """The retain question with a refusal as its answer.

    Source: arXiv 2410.08109, the answer preservation loss.
    """
    return _there(pair.retain, "retain").answered(pair.refusal)


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
    return row.answered(pair.alternate)


@view
def scope(
    pair: Pair,
    codec: Codec,
    *,
    order: Order = "forget_first",
    separator: str = " ",
    prompts: int = 1,
    longest: int = 0,
    parts: float = 1.0,
) -> Row:
    """The retain question beside forget prompts or parts of them, with the retain answer.

    All questions share one user turn. What comes before a question carries the signal as well: the earlier
    turns of the pair's forget row stand before it, then those of the retain row, under one system prompt. The
    forget prompts are that of the pair and those of the places that follow it. With `longest`, a run of 1 to
    `longest` words of each, drawn anew for each place of each step, stands before the question or, if it
    comes from the second half of its prompt, after it: the words keep their side of a sentence, and `order`
    says nothing. That is so in a share `parts` of the samples, drawn one by one; the others hold whole
    prompts.

    Plain text is joined as text: at most half the context of forget text, then the retain text, of which
    alone tokens are scored. Forget prompts that leave no room are cut, never the retain prompt or its answer.

    Raises:
        InputError: `prompts` is below 1 or above the batch, `longest` below 0, `parts` not 0 … 1, or the
            retain row leaves no room for a forget prompt.

    Source: arXiv 2506.00359, eq. 5; several prompts, their parts and joining plain text are ours.
    """
    _check_scope(pair, prompts, longest, parts)
    rows = (_there(pair.forget, "forget"), *pair.others)[:prompts]
    target = _behind(rows[0], _there(pair.retain, "retain"), codec)
    signals = [_signal(row, codec, len(rows)) for row in rows]
    if not longest or random.Random(f"{pair.draw}/parts").random() >= parts:
        return _fitted([Piece(text, order) for text in signals], target, separator, codec)
    chance = random.Random(f"{pair.draw}/part")
    return _fitted([_part(text, longest, chance) for text in signals], target, separator, codec)


def check_room(
    forget: Sequence[Row],
    retain: Sequence[Row],
    codec: Codec,
    *,
    order: Order = "forget_first",
    separator: str = " ",
    prompts: int = 1,
    longest: int = 0,
    parts: float = 1.0,
) -> None:
    """Refuse a retain row that `scope` can't place beside the longest forget prompts; parts count as wholes.

    Raises:
        InputError: There is such a row.
    """
    signals = sorted((_signal(row, codec, prompts) for row in forget), key=codec.count)[-prompts:]
    pieces = [Piece(text, order) for text in signals]
    for target in retain:
        _room(pieces, _join(pieces, target, separator), codec)


def _behind(forget: Row, target: Row, codec: Codec) -> Row:
    """Return a retain row behind a forget row's earlier turns, if they leave a quarter of the context."""
    if target.text or not forget.history:
        return target
    joined = replace(target, history=joined_turns(forget.history, target.history))
    if codec.length(joined) <= codec.max_length - codec.max_length // 4:
        return joined
    log.warning("The earlier turns of forget row %s are too long to stand before %s.", forget.id, target.id)
    return target


def _check_scope(pair: Pair, prompts: int, longest: int, parts: float) -> None:
    if not 0 <= parts <= 1:
        raise InputError(f"parts={parts}; it is a share of the scope samples, 0 to 1.")
    if longest < 0:
        raise InputError(f"longest={longest}; a part of a forget prompt has at least 1 word, 0 = all of it.")
    if not 1 <= prompts <= len(pair.others) + 1:
        raise InputError(
            f"prompts={prompts}; a scope sample takes 1 to {len(pair.others) + 1} forget prompts here, no "
            "more than the batch and the request have. Raise the batch or take fewer."
        )


def _part(text: str, longest: int, chance: random.Random) -> Piece:
    """Return a few neighboring words of a text, on their side of it."""
    words = text.split()
    count = min(chance.randint(1, longest), len(words))
    first = chance.randint(0, len(words) - count)
    early = first + count / 2 <= len(words) / 2
    return Piece(" ".join(words[first : first + count]), "forget_first" if early else "retain_first")


def _signal(row: Row, codec: Codec, shared_by: int) -> str:
    """Return the text that carries the forgetting signal."""
    return codec.cut(row.answer, codec.max_length // 2 // shared_by) if row.text else row.prompt


def _fitted(pieces: Sequence[Piece], target: Row, separator: str, codec: Codec) -> Row:
    """Join, cutting the pieces alike where all are longer than the context."""
    joined = _join(pieces, target, separator)
    keep = _room(pieces, joined, codec)
    if keep is None:
        return joined
    log.warning("The forget prompt beside retain row %s was cut to %d tokens to fit.", target.id, keep)
    return _join([Piece(codec.cut(p.text, keep), p.order) for p in pieces], target, separator)


def _room(pieces: Sequence[Piece], joined: Row, codec: Codec) -> int | None:
    """Return to how many tokens each piece is cut, None where all fit.

    Raises:
        InputError: There is room for none.
    """
    excess = codec.length(joined) - codec.max_length
    if excess <= 0:
        return None
    # Re-tokenizing a cut text can add a token or two.
    room = sum(codec.count(p.text) for p in pieces) - excess - 2 * len(pieces)
    keep = room // len(pieces)
    if keep < 1:
        raise InputError(
            f"Retain row {joined.id!r} leaves no room for a forget prompt within {codec.max_length} "
            "tokens. Shorten it or raise the maximum length."
        )
    return keep


def _join(pieces: Sequence[Piece], target: Row, separator: str) -> Row:
    if target.text:
        return replace(target, prompt=separator.join([*(p.text for p in pieces), target.prompt]))
    before = [p.text for p in pieces if p.order == "forget_first"]
    after = [p.text for p in pieces if p.order == "retain_first"]
    return replace(target, prompt=separator.join([*before, target.prompt, *after]))


def items_of(objective: Objective) -> tuple[Item, ...]:
    """Return what an objective is made of: its terms, their schedules, and the views that they read."""
    names = dict.fromkeys(n for t in objective.terms for n in (*t.views, *t.references))
    return (*objective.items, *(VIEWS.get(name) for name in names))


def reads_refusals(objective: Objective) -> bool:
    """Say whether some term reads questions with refusals, so that the refusal lines decide the result."""
    return any(n.endswith("refusal") for t in objective.terms for n in (*t.views, *t.references))


def _there(row: Row | None, which: str) -> Row:
    if row is None:
        raise InputError(f"This objective needs {which} rows, and none were given.")
    return row
