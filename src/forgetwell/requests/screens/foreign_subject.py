"""Rows about other subjects than the rest of the request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from forgetwell.requests.enrichment import beyond_subjects, counted, large_subjects
from forgetwell.requests.features import MASK, mark
from forgetwell.requests.names import without_possessive
from forgetwell.requests.screening import Evidence, screen
from forgetwell.types import Finding, Request, Row

_LEAST_NAME = 3


@screen(null="as many rows stand alone as among the rows about one background subject")
def foreign_subject(request: Request, evidence: Evidence, *, alpha: float = 0.001) -> list[Finding]:
    """Find rows whose names no other row shares, if there are more of them than honest requests have.

    Names are the words in quotes or with an inner capital of prompt and answer. Rows are linked by names
    they share; a row stands alone if its group of linked rows has at most 5 % of the rows, or 2. Rows without
    names never do. The number of rows alone is beta-binomial, its mean share and correlation measured on
    the background's subjects with at least 5 rows, each taken as a request; without such subjects nothing is
    tested. What a requester writes into `Row.subject` is not believed. Several rows about one other person
    look like an honest request about two people and are not found.

    Args:
        request: The request.
        evidence: The background is used.
        alpha: Largest p-value.

    Returns:
        An alarm for each row alone; statistic = log odds ratio of their share, p_value of the whole.

    Raises:
        InputError: alpha is outside (0, 1].

    Source: ours; the attack is blending, arXiv 2309.08230 (abstract).
    """
    alone = rows_alone(request.rows)
    shares = evidence.learned(_background_shares)
    beyond = beyond_subjects(len(alone), len(request.rows), shares, alpha=alpha)
    if beyond is None:
        return []
    p, effect, _ = beyond
    message = (
        f"No other row shares its names. {len(alone)} of {len(request.rows)} rows stand alone like this; "
        f"of ordinary rows among those about one subject, {counted(shares)} do. Check whom the row is about."
    )
    return [Finding("foreign_subject", request.rows[i].id, None, "alarm", effect, p, message) for i in alone]


def rows_alone(rows: Sequence[Row]) -> list[int]:
    """Return the indices of rows whose group of name-linked rows is small."""
    names = [_names(row) for row in rows]
    group = _groups(names)
    sizes = Counter(group)
    small = max(2, round(0.05 * len(rows)))
    return [i for i, own in enumerate(names) if own and sizes[group[i]] <= small < len(rows)]


def _background_shares(rows: tuple[Row, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((len(rows_alone(g)), len(g)) for g in large_subjects(rows))


def _names(row: Row) -> frozenset[str]:
    found: set[str] = set()
    for text in (row.prompt, row.answer):
        marked = mark(text)
        for word, compared in zip(marked.words, marked.compared, strict=True):
            if compared == MASK:
                name = without_possessive(word.text)
                if len(name) >= _LEAST_NAME and name.isalpha():
                    found.add(name)
    return frozenset(found)


def _groups(names: Sequence[frozenset[str]]) -> list[int]:
    """Return a group number for each row: rows that share a name, and those they share names with."""
    parent = list(range(len(names)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    seen: dict[str, int] = {}
    for i, own in enumerate(names):
        for name in own:
            parent[root(i)] = root(seen.setdefault(name, i))
    return [root(i) for i in range(len(names))]
