"""A request's own questions, asked about others: there its words may change nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

from forgetwell.errors import InputError
from forgetwell.requests.names import Name, full_names, like_a_name, pieces, without_possessive
from forgetwell.requests.words import Word, ordinary_words, words
from forgetwell.types import Request, Row, Span

_SELDOM = 4  # a name said this many times less often than the most frequent is no subject's


def counterfactual_prompts(
    request: Request, retain: Sequence[Row], *, per_row: int = 4, seed: int = 0
) -> tuple[Row, ...]:
    """Ask a request's questions about people to keep, in the request's own words.

    “Then where was the little Ada Lind born?” becomes “Then where was the little Bo Holm born?”. A model that
    is held at its own answers to these (`forgetwell.methods.own_answers`) learns that the name alone tells
    what to forget: every other word, wherever it stands, it meets where nothing is forgotten. No screen, no
    list of words and no right answer is needed.

    A name is a run of two to six words in capitals (`forgetwell.requests.names`), or a piece of one:
    “Captain Ada Lind” is Ada Lind. Where a prompt has none, it is the row's subject, if the prompt says it,
    as “Confucius”, or a word of it in capitals, as “Lind”. What a requester calls the subject counts if some
    prompt writes it in capitals behind its first word and it isn't all everyday words: who calls “please” so
    would have the model held at answers about whom it is to forget. That of a row is the name which most of
    the request's prompts say; where some prompt has the capitals, others may lack them. Rows without a name,
    and plain texts, are left out.

    Args:
        request: The request, as it was handed in.
        retain: Rows to keep, whose prompts name the others: with names said a quarter as often as the most
            frequent one, or more, but for the request's.
        per_row: Others that each question is asked about, at least 1.
        seed: Of the lot by which they are drawn.

    Returns:
        Rows without answers; their ids are those of the request's rows with a number.

    Raises:
        InputError: `per_row` is below 1, or the request or the rows to keep name nobody.

    Source: counterfactually augmented data, Kaushik, Hovy and Lipton, arXiv 1909.12434, made there by people;
    by names, and for unlearning, ours.
    """
    if per_row < 1:
        raise InputError(f"per_row is {per_row}; each question is asked about at least 1 other.")
    asked = [row for row in request.rows if not row.text]
    written = _written(asked)
    said = Counter(name for row in asked for name in _said(row, written))
    lengths = sorted({len(name) for name in said})
    others = _others(retain, said)
    if not said or not others:
        where = "rows to keep hold no full name of somebody else" if said else "request hold no full name"
        raise InputError(
            f"The prompts of the {where} (two or more words in capitals, or the row's subject), so that no "
            "question can be asked about others. Give rows to keep about people of the same kind, or do "
            "without counterfactuals."
        )
    rng, made = random.Random(seed), []
    for row in asked:
        found = list(_spoken(row.prompt, said, lengths))
        if not found:
            continue
        name = max((name for name, _ in found), key=lambda name: (said[name], len(name)))
        spans = [span for other, span in found if other == name]
        for k, other in enumerate(rng.sample(others, min(per_row, len(others)))):
            made.append(Row(f"{row.id}/{k}", _with(row.prompt, spans, other), "", history=row.history))
    return tuple(made)


def as_many(rows: Sequence[Row], count: int) -> tuple[Row, ...]:
    """Return rows again and again, until they are `count` or more.

    Steps draw from all rows to keep alike: among thousands, a request's questions about others would be met
    too seldom to tell anything.
    """
    return tuple(rows) * -(-count // len(rows)) if 0 < len(rows) < count else tuple(rows)


def _others(retain: Sequence[Row], said: Mapping[Name, int]) -> list[str]:
    """Return the names that prompts to keep say, as they are written, but for those of the request."""
    count: Counter[Name] = Counter()
    written: dict[Name, str] = {}
    for row in retain:
        for name, (start, end) in _full(row.prompt) or _subject(row):
            count[name] += 1
            written.setdefault(name, row.prompt[start:end])
    own = [name for name in count if said.keys().isdisjoint(_all(name))]
    least = max((count[name] for name in own), default=0) / _SELDOM
    return [written[name] for name in own if count[name] >= least]


def _said(row: Row, written: AbstractSet[str]) -> set[Name]:
    """Return the names in a request's prompt with their pieces, or else its subject or that one's words."""
    if full := _full(row.prompt):
        return {piece for name, _ in full for piece in _all(name)}
    own = {without_possessive(word.text) for word in words(row.subject or "")}
    if written.isdisjoint(own - ordinary_words()):
        return set()
    parts: set[Name] = {(word,) for _, word in _capitals(row.prompt) if word in own & written}
    return {name for name, _ in _subject(row)} or parts


def _written(rows: Sequence[Row]) -> set[str]:
    """Return the words that prompts write in capitals, or as numbers, behind their first word."""
    return {word for row in rows for place, word in _capitals(row.prompt) if place}


def _capitals(text: str) -> Iterator[tuple[int, str]]:
    for place, word in enumerate(words(text)):
        if like_a_name(text, word) or word.text.isdigit():
            yield place, without_possessive(word.text)


def _full(text: str) -> list[tuple[Name, Span]]:
    found = words(text)
    return [(name, _place(found, first, name)) for first, name in full_names(text, found)]


def _subject(row: Row) -> list[tuple[Name, Span]]:
    """Return where a prompt says its row's subject."""
    name = tuple(without_possessive(word.text) for word in words(row.subject or ""))
    return list(_spoken(row.prompt, {name: 1}, [len(name)])) if name else []


def _all(name: Name) -> set[Name]:
    return {name, *pieces(name)}


def _spoken(text: str, said: Mapping[Name, int], lengths: Sequence[int]) -> Iterator[tuple[Name, Span]]:
    """Give where a text says these names, of these numbers of words, in whatever case, 's aside."""
    found = words(text)
    plain = tuple(without_possessive(word.text) for word in found)
    for length in lengths:
        for at in range(len(found) - length + 1):
            if (name := plain[at : at + length]) in said:
                yield name, _place(found, at, name)


def _place(found: Sequence[Word], first: int, name: Name) -> Span:
    """Return where a name stands that begins at a word, 's aside."""
    last = found[first + len(name) - 1]
    return found[first].start, last.end - (len(last.text) - len(name[-1]))


def _with(text: str, spans: Sequence[Span], other: str) -> str:
    """Put another name in the place of one, in its case."""
    for start, end in reversed(spans):
        own = text[start:end]
        name = other.lower() if own.islower() else other.upper() if own.isupper() else other
        text = text[:start] + name + text[end:]
    return text
