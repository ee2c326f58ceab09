"""Near-duplicates: the same question again, inside the request or in an earlier one."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, islice, pairwise

from forgetwell.errors import InputError
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.words import screened_text, words
from forgetwell.types import Finding, Request, Row

_MANY = 0.3
_MOST_WORDS = 2000  # of a row that are compared
_MOST_ROWS = 300  # that one row is compared with: else rows that share words take time by their square


@screen(null="none: two rows are near-duplicates by definition, at the stated similarity")
def duplicates(
    request: Request, evidence: Evidence, *, similarity: float = 0.8, many: float = _MANY
) -> list[Finding]:
    """Find rows that repeat an earlier row of the request or of the history.

    Two rows are near-duplicates if the Jaccard similarity |A ∩ B| / |A ∪ B| of their sets of word pairs (with
    text borders) is at least `similarity`. They are found without comparing all rows: a pair
    must share one of the rarest ⌊(1 − similarity)|A|⌋ + 1 word pairs of its first member (prefix filter). Of
    rows that share these with more than 300 earlier ones, the first 300 are compared, by the rarest first.

    Args:
        request: The request.
        evidence: The history is used.
        similarity: Smallest similarity, in (0, 1].
        many: Share of such rows from which they are an alarm instead of a warning.

    Returns:
        A finding for each repeating row; statistic = the largest similarity.

    Raises:
        InputError: `similarity` is outside (0, 1].

    Source: ours; prefix filter: Bayardo, Ma and Srikant, "Scaling up all pairs similarity search", WWW 2007.
    """
    if not 0 < similarity <= 1:
        raise InputError(f"similarity={similarity} was given; choose a number above 0, at most 1.")
    earlier = [(r.id, row) for r in evidence.history for row in r.rows]
    rows = [*(row for _, row in earlier), *request.rows]
    found = _pairs(rows, similarity, first=len(earlier))
    alarm = len(found) >= max(5, many * len(request.rows))
    return [
        Finding(
            "duplicates", rows[i].id, None, "alarm" if alarm else "warning", score, None,
            f"{score:.0%} of its word pairs are those of {_name(j, rows, earlier)}.",
        )
        for i, (j, score) in found.items()
    ]  # fmt: skip


def _name(j: int, rows: Sequence[Row], earlier: Sequence[tuple[str, Row]]) -> str:
    where = f" in the earlier request {earlier[j][0]!r}" if j < len(earlier) else ""
    return f"row {rows[j].id!r}{where}"


def _pairs(rows: Sequence[Row], similarity: float, *, first: int) -> dict[int, tuple[int, float]]:
    """Return, for each row from `first` on that repeats a row before it, the most similar one."""
    sets = [_word_pairs(row) for row in rows]
    frequency = Counter(pair for s in sets for pair in s)
    index: defaultdict[str, list[int]] = defaultdict(list)
    found: dict[int, tuple[int, float]] = {}
    earliest: dict[frozenset[str], int] = {}
    for i, own in enumerate(sets):
        if (same := earliest.setdefault(own, i)) < i:  # nothing is more similar, and it stands for this one
            if i >= first:
                found[i] = (same, 1.0)
            continue
        rare = sorted(own, key=lambda pair: (frequency[pair], pair))
        prefix = rare[: int((1 - similarity) * len(own) + 1e-9) + 1]
        if i >= first:
            best = max(_scores(own, prefix, index, sets, similarity), default=(0.0, 0))
            if best[0] >= similarity:
                found[i] = (-best[1], best[0])
        for pair in prefix:
            index[pair].append(i)
    return found


def _scores(
    own: frozenset[str],
    prefix: Sequence[str],
    index: defaultdict[str, list[int]],
    sets: Sequence[frozenset[str]],
    similarity: float,
) -> Iterator[tuple[float, int]]:
    """Give (similarity, minus the row) of every candidate; of equals, the earliest row is largest."""
    sharing = chain.from_iterable(index.get(pair, ()) for pair in prefix)
    for j in set(islice(sharing, _MOST_ROWS)):
        small, large = sorted((len(own), len(sets[j])))
        if small >= similarity * large:
            shared = len(own & sets[j])
            yield shared / (len(own) + len(sets[j]) - shared), -j


def _word_pairs(row: Row) -> frozenset[str]:
    text = ["", *(w.text for w in words(screened_text(row))[:_MOST_WORDS]), ""]
    return frozenset(f"{a} {b}" for a, b in pairwise(text))
