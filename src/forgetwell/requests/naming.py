"""Whom rows are about, told by the names in them: what a requester writes into `Row.subject` isn't believed.

A name is a word in quotes or with an inner capital, of prompt or answer, with at least 3 letters.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from heapq import heapify, heappop, heappush

from forgetwell.requests.features import MASK, mark
from forgetwell.types import Row

_LEAST_NAME = 3


def names_of(row: Row) -> frozenset[str]:
    """Return the names in a row's prompt and answer."""
    found: set[str] = set()
    for text in (row.prompt, row.answer):
        marked = mark(text)
        for word, compared in zip(marked.words, marked.compared, strict=True):
            name = word.text.removesuffix("'s")
            if compared == MASK and len(name) >= _LEAST_NAME and name.isalpha():
                found.add(name)
    return frozenset(found)


def by_subject(names: Sequence[frozenset[str]]) -> list[int]:
    """Return a number for each row, the same for rows about one subject as far as names tell.

    The name that most rows carry is a subject, and these rows are about it; of the rest again, and so on. A
    town in fewer rows than its people is no subject then, but for rows that name nobody else. Rows without a
    name are alone.
    """
    rows_of: defaultdict[str, list[int]] = defaultdict(list)
    for i, own in enumerate(names):
        for name in own:
            rows_of[name].append(i)
    left = Counter({name: len(rows) for name, rows in rows_of.items()})
    heap = [(-count, name) for name, count in left.items()]
    heapify(heap)
    numbers = [-1 if own else len(heap) + i for i, own in enumerate(names)]
    for number in range(len(heap)):
        chosen = _next_name(heap, left)
        for i in rows_of[chosen]:
            if numbers[i] < 0:
                numbers[i] = number
                left.subtract(names[i])
    return numbers


def _next_name(heap: list[tuple[int, str]], left: Counter[str]) -> str:
    """Take the name that most rows without a subject carry from a heap whose counts are of before."""
    count, name = heappop(heap)
    while -count > left[name]:
        heappush(heap, (-left[name], name))
        count, name = heappop(heap)
    return name
