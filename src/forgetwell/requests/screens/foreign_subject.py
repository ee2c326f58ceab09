"""Rows about other subjects than the rest of the request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from forgetwell.errors import InputError
from forgetwell.requests.enrichment import among_subjects, large_subjects
from forgetwell.requests.naming import count_subjects, names_of
from forgetwell.requests.screening import Evidence, screen
from forgetwell.types import Finding, Request, Row

_SHARED = 10  # chosen on the development half of docs/screening.md; 7 to 15 do the same within 2 %
_LEAST_ROWS = 3


@dataclass(frozen=True)
class _Usual:
    """Names that rows about many background subjects carry, and (rows alone, rows) of each large subject."""

    shared: frozenset[str]
    counts: tuple[tuple[int, int], ...]


@screen(null="as many rows stand alone as among the rows about one background subject")
def foreign_subject(request: Request, evidence: Evidence, *, alpha: float = 0.001) -> list[Finding]:
    """Find rows whose names no other row shares, if there are more of them than honest requests have.

    Names are the words in quotes or with an inner capital of prompt and answer, but for those that rows about
    10 background subjects carry ("London", "American"): they say nothing of whom a row is about. Rows are
    linked by names they share; a row stands alone if its group of linked rows has at most 5 % of the rows, or
    2. Rows without names never do. The number of rows alone, if 3 or more, is beta-binomial, its mean share
    and correlation measured on the background's subjects with at least 5 rows, each taken as a request;
    without such subjects nothing is tested. What a requester writes into `Row.subject` is not believed.
    Several rows about one other person look like an honest request about two people and are not found.

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
    if not 0 < alpha <= 1:
        raise InputError(f"alpha={alpha} was given; it is in (0, 1].")
    usual = evidence.learned(_learn_usual)
    alone = rows_alone(request.rows, usual.shared)
    if not usual.counts or len(alone) < _LEAST_ROWS:
        return []
    p, effect, mean = among_subjects(len(alone), len(request.rows), usual.counts)
    if p > alpha:
        return []
    message = (
        f"No other row shares its names. {len(alone)} of {len(request.rows)} rows stand alone like this; "
        f"among rows about one subject, {mean:.1%} do. Check whom the row is about."
    )
    return [Finding("foreign_subject", request.rows[i].id, None, "alarm", effect, p, message) for i in alone]


def rows_alone(rows: Sequence[Row], shared: AbstractSet[str] = frozenset()) -> list[int]:
    """Return the indices of rows whose group of rows linked by names, other than shared ones, is small."""
    names = [names_of(row) - shared for row in rows]
    group = _groups(names)
    sizes = Counter(group)
    small = max(2, round(0.05 * len(rows)))
    return [i for i, own in enumerate(names) if own and sizes[group[i]] <= small < len(rows)]


def _learn_usual(rows: tuple[Row, ...]) -> _Usual:
    subjects = count_subjects(rows)
    shared = frozenset(name for name, n in subjects.items() if n >= _SHARED)
    others = frozenset(name for name in shared if subjects[name] > _SHARED)  # of a subject's name, 10 others
    return _Usual(shared, tuple((len(rows_alone(g, others)), len(g)) for g in large_subjects(rows)))


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
