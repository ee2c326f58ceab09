"""Full names in untrusted text, told by their capitals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forgetwell.requests.words import Word, ordinary_words

Name = tuple[str, ...]

_QUOTES = frozenset("\"'“‘«")
_LEAST, _MOST = 2, 6  # words of a full name
_WIDEST = 2  # characters of space inside one


def full_names(text: str, words: Sequence[Word]) -> Iterator[tuple[int, Name]]:
    """Give the full names in a text, each with the number of its first word, in lower case, without 's.

    A full name is a run of two to six words in capitals with nothing but space or a hyphen between them, none
    an ordinary word, no quotation mark before the first: of "Where does Ada Lind live?" the third and fourth.
    """
    for first, run in _runs(text, words):
        if _LEAST <= len(run) <= _MOST and text[run[0].start - 1 : run[0].start] not in _QUOTES:
            yield first, tuple(without_possessive(word.text) for word in run)


def pieces(name: Name) -> Iterator[Name]:
    """Give a name and what is left of it without its first or last words: “Captain Ada Lind” is Ada Lind."""
    for cut in range(len(name) - _LEAST + 1):
        yield name[cut:]
        yield name[: len(name) - cut]


def like_a_name(text: str, word: Word) -> bool:
    """Say whether a word of a text is written in capitals and is no ordinary word."""
    return text[word.start].isupper() and without_possessive(word.text) not in ordinary_words()


def next_to(text: str, word: Word, other: Word, *, hyphen: bool = False) -> bool:
    """Say whether space of any kind, two characters at most, is all between two words, or a hyphen."""
    gap = text[word.end : other.start]
    return (gap.isspace() and len(gap) <= _WIDEST) or (hyphen and gap == "-")


def without_possessive(word: str) -> str:
    """Return a word without 's."""
    return word.removesuffix("'s")


def _runs(text: str, words: Sequence[Word]) -> Iterator[tuple[int, list[Word]]]:
    run: list[Word] = []
    for i, word in enumerate(words):
        named = like_a_name(text, word)
        if run and not (named and next_to(text, run[-1], word, hyphen=True)):
            yield i - len(run), run
            run = []
        if named:
            run.append(word)
    if run:
        yield len(words) - len(run), run
