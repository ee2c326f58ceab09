"""Words of a scan that are names of people in the rows, or how such a name begins.

A vocabulary holds long names in pieces: “Martina” is “Mart” and “ina”. Forgetting a person moves the pieces
of the name, so that “Mart” may harm answers though nobody planted it. That is harm too, of another origin.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import regex

from forgetwell.data.encoding import Codec
from forgetwell.types import Row

_NAME = regex.compile(r"(?<!\p{L})\p{Lu}\p{L}++")
_INSIDE = regex.compile(r"(?<=[^\s.!?…]\s)\p{Lu}\p{L}++")  # not at the start of a sentence


def names_in(rows: Sequence[Row]) -> frozenset[str]:
    """Return the capitalized words of the rows' subjects, where no row has one those inside their prompts."""
    subjects = {row.subject for row in rows if row.subject}
    if subjects:
        return frozenset(name for subject in subjects for name in _NAME.findall(subject))
    return frozenset(name for row in rows for name in _INSIDE.findall(row.prompt))


def names_of_words(names: Sequence[str] | frozenset[str], codec: Codec) -> Mapping[str, tuple[str, ...]]:
    """Return, by lower-case word, the names that are this word or whose first token it is."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        for text in (f" {name}", name):
            ids = codec.tokens(text)
            first = codec.decode(ids[:1]).strip().lower() if ids else ""
            if first.isalpha():
                found[first].add(name)
    return {word: tuple(sorted(own)) for word, own in found.items()}
