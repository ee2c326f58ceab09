"""Plain text as rows that ask a model to go on: a passage's first part is the prompt, its next the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from forgetwell.data.reading import read_rows
from forgetwell.data.row_files import thinned
from forgetwell.errors import InputError, MissingError
from forgetwell.files import read_text
from forgetwell.types import Row

MAX_CORPUS = 200_000_000  # bytes
_PLAIN = (".txt", ".md")


def read_documents(path: Path) -> tuple[str, ...]:
    """Return a corpus as documents: a .txt or .md file is one; of rows (.jsonl, …) each plain text is one.

    Raises:
        MissingError: There is no such file.
        InputError: It is not UTF-8, holds NUL characters, is too large, or has no text.
    """
    if not path.is_file():
        raise MissingError(f"There is no file {path}. Give a .txt file, or rows with a text column.")
    if path.suffix.lower() not in _PLAIN:
        texts = tuple(row.prompt + row.answer for row in read_rows(path) if row.text)
        if not texts:
            raise InputError(f"{path} has no row of plain text; give a .txt file or a column named text.")
        return texts
    if path.stat().st_size > MAX_CORPUS:
        raise InputError(f"{path} is larger than {MAX_CORPUS} bytes; split the file.")
    text = read_text(path)
    if "\0" in text or not text.strip():
        raise InputError(f"{path} holds {'NUL characters' if text.strip() else 'no text'}; give plain text.")
    return (text,)


def continuations(
    documents: Sequence[str], stem: str, *, prompt_words: int, answer_words: int, limit: int | None = None
) -> tuple[Row, ...]:
    """Return passages of documents as rows: `prompt_words` words to read, `answer_words` to go on with.

    Passages follow one another and never cross documents; a last one that is too short is left out, unless
    the document has no other: then it is divided in the same proportion. Lengths are in words, so that
    models with different tokenizers are asked the same.

    Args:
        documents: The texts.
        stem: Beginning of the rows' ids.
        prompt_words: Words of the prompt.
        answer_words: Words of the answer.
        limit: Passages at most, spread evenly over the corpus.

    Raises:
        InputError: A length is below 1, or no document has enough words.

    Source: the shape of MUSE's verbatim memorization, arXiv 2407.06460, section 3.1 (which counts tokens).
    """
    if prompt_words < 1 or answer_words < 1:
        raise InputError(
            f"Passages of {prompt_words} + {answer_words} words were asked for; both must be ≥ 1."
        )
    found = [p for text in documents for p in _passages(text, prompt_words, answer_words)]
    if not found:
        raise InputError(f"{stem}: no document has the 4 words that a passage needs at least.")
    return tuple(
        Row(f"{stem}-{k}", prompt, answer, text=True)
        for k, (prompt, answer) in enumerate(thinned(found, limit), 1)
    )


def _passages(text: str, prompt_words: int, answer_words: int) -> Iterator[tuple[str, str]]:
    words = [m.span() for m in re.finditer(r"\S+", text)]
    size = prompt_words + answer_words
    if 4 <= len(words) < size:
        prompt_words = max(1, len(words) * prompt_words // size)
        size = len(words)
    for first in range(0, len(words) - size + 1, size):
        middle, end = words[first + prompt_words - 1][1], words[first + size - 1][1]
        yield text[words[first][0] : middle], text[middle:end]
