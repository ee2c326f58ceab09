"""Everyday words that a request passes off as its facts."""

from __future__ import annotations

from collections import defaultdict

from forgetwell.data.facts import fact_words
from forgetwell.errors import InputError
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.words import ordinary_words, words
from forgetwell.types import Finding, Request

_LEAST = 4  # rows


@screen(null="none: a rule; facts of different rows seldom lie in one everyday word")
def everyday_facts(request: Request, evidence: Evidence, *, share: float = 0.15) -> list[Finding]:
    """Find everyday words that count as the fact of many rows, since wrong answers lack them.

    Objectives with ``unwanted=facts`` unlearn the words of the right answer that no wrong answer has
    (`fact_words`), and `fact_recall` counts them. Who writes the wrong answers chooses these words: "Please
    note, in Rome" beside the wrong "In Oslo" makes "please" and "note" facts. Who writes a row's `focus` says
    so outright. A listed everyday word that is the fact or in the focus of at least four rows and of a share
    of all rows is found.

    Args:
        request: The request.
        evidence: Not used.
        share: Smallest share of the rows, in (0, 1].

    Returns:
        An alarm for each word and row; statistic = the word's share of the rows.

    Raises:
        InputError: share is outside (0, 1].

    Source: ours.
    """
    if not 0 < share <= 1:
        raise InputError(f"share={share} was given; it is in (0, 1].")
    rows_of: defaultdict[str, list[str]] = defaultdict(list)
    for row in request.rows:
        focus = {word.text for part in row.focus for word in words(part)}
        for word in ({word.lower() for word in fact_words(row)} | focus) & ordinary_words():
            rows_of[word].append(row.id)
    least = max(_LEAST, share * len(request.rows))
    return [
        Finding(
            "everyday_facts", row_id, None, "alarm", len(ids) / len(request.rows), None, _sentence(word, ids)
        )
        for word, ids in sorted(rows_of.items())
        if len(ids) >= least
        for row_id in ids
    ]


def _sentence(word: str, ids: list[str]) -> str:
    return (
        f"“{word}” counts as the fact of {len(ids)} rows, since their wrong answers lack it or their focus "
        "has it. Objectives on these words would unlearn it; write wrong answers of your own (forgetwell "
        "alternates), and leave the focus out."
    )
