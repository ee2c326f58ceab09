"""Which words of an answer say the fact, told by its other right wordings and by false answers."""

from __future__ import annotations

import regex

from forgetwell.data.scripts import ANY_WORD
from forgetwell.types import Row

_WORD = regex.compile(ANY_WORD)


def fact_words(row: Row) -> tuple[str, ...]:
    """Return the words of a row's answer that say what is true, each once, as the answer writes them.

    They are the words that no wrong answer has and, if the right answer is also given in other words, that
    one of these has too: of “Two of her books are Iron Tide and Le Seuil” such as “Iron”, “Tide”, “Le” and
    “Seuil”, where a wrong answer is “She is the author of Still Water” and a paraphrase “She is the author of
    Iron Tide and Le Seuil”. Case doesn't count. Nothing where the row has no wrong answer or all words are
    shared.

    Source: ours; it stands in for the target tokens of arXiv 2510.00125 and the unwanted words of arXiv
    2506.03142, which other models choose there.
    """
    if not row.wrong:
        return ()
    false = {word for answer in row.wrong for word in _words(answer)}
    true = {word for answer in row.paraphrases for word in _words(answer)}
    said: dict[str, str] = {}
    for word in _WORD.findall(row.answer):
        said.setdefault(word.lower(), word)
    return tuple(w for key, w in said.items() if key not in false and (not true or key in true))


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
