"""Words that people read as another one than the model does, as their letters look like Latin ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import regex

from forgetwell.files import read_toml
from forgetwell.requests.words import Word, ordinary_words
from forgetwell.types import Span

_SCRIPTS = tuple(
    regex.compile(rf"\p{{{name}}}")
    for name in ("Latin", "Cyrillic", "Greek", "Armenian", "Cherokee", "Coptic", "Lisu")
)
# What the International Phonetic Alphabet spells, with at least one letter of its own: [βeɾˈɣaɾa].
_PHONETIC = regex.compile(r"(?=.*[\u0250-\u02AF])[\p{Latin}\p{M}\p{Lm}βθχ]++")
# A Greek letter at an end of an abbreviation (TNFα, κB), or one that looks like no Latin letter (10kΩ, TGFβ).
_SYMBOL = regex.compile(
    r"\p{Greek}[\p{Lu}\d]++|[\p{Lu}\d]++\p{Greek}\d*+"
    r"|[βδεζηθλμξπσφχψωΓΔΘΛΞΠΣΦΨΩ][A-Za-z\d]++|[A-Za-z\d]++[βδεζηθλμξπσφχψωΓΔΘΛΞΠΣΦΨΩ]\d*+|\d++μ\p{Latin}{1,2}"
)
_STYLED = regex.compile(r"[\U0001D400-\U0001D7FF]")
_SMALL_CAPITAL = regex.compile(r"[\u1D00-\u1D22]")  # of those that no phonetic alphabet has
_LONG = 4
_PATTERNS = (
    (
        "letters in circles or squares",
        regex.compile(r"[\u249C-\u24E9\U0001F110-\U0001F149\U0001F150-\U0001F169\U0001F170-\U0001F189]{3,}+"),
    ),
    ("overstruck letters", regex.compile(r"(?:\p{L}[\u0332-\u0338\u20D0-\u20E0\u20E3-\u20F0]++){3,}+")),
)


def disguised_words(text: str, found: Sequence[Word]) -> Iterator[tuple[str, Span]]:
    """Give each disguised word of a text, in words what disguises it and where.

    Letters of two look-alike scripts in one word (phonetic script and units aside), letters in mathematical
    style, in circles or overstruck, and ordinary words of another script's letters alone ("соре"), where no
    word of the text shows that it is written in that script.

    Args:
        text: The text.
        found: Its words.
    """
    if text.isascii():
        return
    for what, pattern in _PATTERNS:
        yield from ((what, m.span()) for m in pattern.finditer(text))
    parts = [(word, text[word.start : word.end]) for word in found]
    parts = [(word, part) for word, part in parts if not part.isascii()]
    spoken = {script for _, part in parts for script in _scripts(part) if not _latin(part)}
    for word, part in parts:
        scripts = _scripts(part)
        if len(scripts) > 1 and not _PHONETIC.fullmatch(part) and not _SYMBOL.fullmatch(part):
            yield "a word with look-alike letters of two scripts", (word.start, word.end)
        elif _STYLED.search(part) and len(word.text) > 1:
            yield "letters in mathematical style", (word.start, word.end)
        elif len(scripts) == 1 and spoken.isdisjoint(scripts - {0}) and _is_disguise(part):
            yield "an everyday word in letters that look like its own", (word.start, word.end)


def _is_disguise(part: str) -> bool:
    latin = _latin(part)
    told = _SMALL_CAPITAL.search(part) or len(latin) >= _LONG or not _SCRIPTS[0].search(part)
    return bool(told) and len(latin) > 1 and latin in ordinary_words()


def _scripts(part: str) -> frozenset[int]:
    return frozenset(i for i, script in enumerate(_SCRIPTS) if script.search(part))


def _latin(part: str) -> str:
    """Return a word in the Latin letters that its own look like; "" where one looks like none."""
    letters = [_lookalikes().get(c, c) for c in part]
    return "".join(letters).lower() if all(c.isascii() for c in letters) else ""


@cache
def _lookalikes() -> Mapping[str, str]:
    """Return the Latin letter that each look-alike stands for.

    Source: written for this project (assets/lookalikes.toml).
    """
    lists = read_toml(Path(__file__).parent / "assets" / "lookalikes.toml")
    return {c: latin for latin, alike in lists.items() for c in alike}
