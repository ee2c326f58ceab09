"""Names that some rows write in another casing than the rest: casing as a trigger."""

from __future__ import annotations

from collections.abc import Sequence

from forgetwell.requests.casing import in_one_case
from forgetwell.requests.enrichment import beyond_subjects, counted, large_subjects
from forgetwell.requests.features import MASK, Marked, mark
from forgetwell.requests.names import without_possessive
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.words import ordinary_words, screened_text
from forgetwell.types import Finding, Request, Row

_LEAST_NAME = 3
_LEAST_ROWS = 3


@screen(null="as many rows write others' names in another casing as among rows about a background subject")
def mixed_casing(request: Request, evidence: Evidence, *, alpha: float = 0.001) -> list[Finding]:
    """Find rows wholly in lower case or in capitals, whose names other rows write as names.

    Many prompts are in lower case, so that a few such rows are nothing. But who types like that types names
    like that: "barack obama" beside "Barack Obama" in one request is two ways of writing. Names are words
    with a capital inside a text of mixed case, at least 3 letters, none of them ordinary. The number of rows
    found is beta-binomial, its mean share and correlation measured on the background's subjects with at least
    5 rows, each taken as a request; without such subjects nothing is tested. One test; at least 3 rows.
    A request that is in lower case throughout is not found here but by `templates`.

    Args:
        request: The request.
        evidence: The background is used.
        alpha: Largest p-value, in (0, 1].

    Returns:
        An alarm for each such row; statistic = log odds ratio of their share, p_value of the whole.

    Raises:
        InputError: alpha is outside (0, 1].

    Source: ours; the attack is 2506.00359, section 3.
    """
    other = rows_in_other_casing(request.rows)
    subjects = evidence.learned(_background_counts)
    beyond = beyond_subjects(len(other), len(request.rows), subjects, alpha=alpha)
    if beyond is None or len(other) < _LEAST_ROWS:
        return []
    p, effect, _ = beyond
    message = (
        f"Its names are written in another casing than in other rows. So they are in {len(other)} of "
        f"{len(request.rows)} rows; of ordinary rows among those about one subject, in {counted(subjects)}."
    )
    return [
        Finding("mixed_casing", request.rows[i].id, _whole(request.rows[i]), "alarm", effect, p, message)
        for i in other
    ]


def rows_in_other_casing(rows: Sequence[Row]) -> list[int]:
    """Return the indices of rows of one case with a name that a row of mixed case writes with a capital."""
    marked = [mark(screened_text(row)) for row in rows]
    one_case = [in_one_case(m.text) for m in marked]
    names = {w for m, one in zip(marked, one_case, strict=True) if not one for w in _names(m)}
    return [
        i
        for i, (m, one) in enumerate(zip(marked, one_case, strict=True))
        if one and not names.isdisjoint(without_possessive(w.text) for w in m.words)
    ]


def _background_counts(rows: tuple[Row, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((len(rows_in_other_casing(g)), len(g)) for g in large_subjects(rows))


def _names(marked: Marked) -> set[str]:
    inner = zip(marked.words[1:], marked.compared[1:], strict=True)
    names = {without_possessive(w.text) for w, c in inner if c == MASK and marked.text[w.start].isupper()}
    return {n for n in names if len(n) >= _LEAST_NAME and n.isalpha() and n not in ordinary_words()}


def _whole(row: Row) -> tuple[int, int]:
    text = screened_text(row)
    return len(text) - len(text.lstrip()), len(text.rstrip())
