"""Plain text longer than the context as several rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from forgetwell.data.encoding import Codec
from forgetwell.errors import InputError
from forgetwell.types import Row


def chunk_texts(rows: Sequence[Row], codec: Codec) -> tuple[Row, ...]:
    """Return the rows, plain text of more than half the context in pieces of at most that.

    Half, because a scope sample holds a piece of forget text and a piece of retain text. Pieces are cut
    before words, get the ids ``{id}~{k}`` and give the text again when put together. Questions stay. A
    prompt before a text stands before each of its pieces.

    Raises:
        InputError: The prompt before a text that must be cut is longer than a quarter of the context.

    Source: ours; arXiv 2506.00359 leaves the length of text samples open.
    """
    longest = codec.max_length // 2 - 1  # a start token may come before
    return tuple(piece for row in rows for piece in _pieces(row, codec, longest))


def _pieces(row: Row, codec: Codec, longest: int) -> Iterator[Row]:
    before = codec.count(row.prompt) if row.text else 0
    if not row.text or before + codec.count(row.answer) <= longest:
        yield row
        return
    if before > codec.max_length // 4:  # little room would be left, and a text would become very many rows
        raise InputError(
            f"Row {row.id!r} has {before} tokens of prompt before a text that must be cut; at most "
            f"{codec.max_length // 4}, a quarter of the context, may stand before each piece. Shorten the "
            "prompt, put it into the text or raise the maximum length."
        )
    for k, part in enumerate(_cut(row.answer, codec, max(2, longest - before))):
        yield replace(row, id=f"{row.id}~{k}", answer=part, paraphrases=(), wrong=())


def _cut(text: str, codec: Codec, longest: int) -> Iterator[str]:
    """Give parts of at most `longest` tokens, cut before a word where one begins in the last half.

    The last has two tokens at least: of one alone nothing can be scored.
    """
    spans = codec.spans(text)
    first, start = 0, 0
    while len(spans) - first > longest:
        last = min(first + longest, len(spans) - 2)
        places = range(last, first + longest // 2, -1)
        cut = next((k for k in places if text[spans[k][0]].isspace()), None)
        if cut is None:  # one endless word: cut it where a token ends on a whole character
            cut = next((k for k in places if spans[k][0] >= spans[k - 1][1]), last)
        yield text[start : spans[cut][0]]
        first, start = cut, spans[cut][0]
    yield text[start:]
