"""Benign-token inflation: words of ordinary prompts that too many rows of the request use."""

from __future__ import annotations

from forgetwell.requests.background import is_ordinary, learn_ordinary, word_side
from forgetwell.requests.features import Found, mark
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.sentences import readings
from forgetwell.requests.weighing import Hit, findings_of, weigh
from forgetwell.types import Finding, Request, Row

# Weights of the classes in the weighted test, chosen on the development half of docs/screening.md.
WEIGHTS = {
    "asking": 4.0, "talk": 0.2, "person": 0.05, "phrase": 0.15, "rare": 4.0, "language": 1.0,
    "ordinary": 0.03, "attribute": 0.25, "topic": 0.3,
}  # fmt: skip
# Texts tell who somebody is (“his wife Ada Lind”), questions ask about a name that is known.
_OF_TEXTS = {kind: weight for kind, weight in WEIGHTS.items() if kind != "attribute"}


@screen(
    null="each ordinary word or phrase is in as many rows as in ordinary prompts, given how subjects vary"
)
def inflation(
    request: Request, evidence: Evidence, *, alpha: float = 0.01, factor: float = 2.0
) -> list[Finding]:
    """Find words and phrases that ordinary prompts use and this request uses in far more of its rows.

    Tested are single words and 2- and 3-grams that prompts about anything use (listed, or common in the
    background), words of other languages, and, against triggers that take turns, the rows that hold any
    framing word (of a list) rarer than 1 in 1000, 300, 100 or 30 ordinary prompts; of questions also words
    between an article and a full name (“the famous”). Null and p-value are those of
    `forgetwell.requests.enrichment`: beta-binomial counts of rows with a prior mean (K + 1/2)/(N + 1). Of
    plain texts sentences are counted as rows are, and whole texts (`forgetwell.requests.sentences.readings`).

    Error control: Benjamini-Hochberg within each class of features, q-values divided by the class's weight
    (after Genovese, Roeder and Wasserman, Biometrika 93 (2006), 509-524); a finding has q ≤ alpha. The
    weights were chosen on subjects of their own (docs/screening.md, with what they give on others). A
    thoroughly polite request is outside the null and is found: it does the same harm.

    Args:
        request: The request.
        evidence: The background is used.
        alpha: Largest adjusted p-value, in (0, 1].
        factor: Smallest odds ratio against ordinary prompts.

    Returns:
        A finding for each feature and row, or sentence of a plain text, that carries it;
        statistic = log odds ratio, p_value adjusted.

    Source: ours; the attack is 2506.00359, section 3.
    """
    return findings_of("inflation", request, inflated(request, evidence), alpha=alpha, factor=factor)


def inflated(request: Request, evidence: Evidence) -> list[Hit]:
    """Return every tested feature that is above the background, best first, before any threshold."""
    return list(evidence.remembered(_tested, request.rows))


def _tested(asked: tuple[Row, ...], evidence: Evidence) -> tuple[Hit, ...]:
    hits: list[Hit] = []
    for reading in readings(asked, whole=True):
        ordinary = evidence.learned(learn_ordinary, reading.form)
        found = [word_side(mark(unit.text), ordinary.rarity) for unit in reading.units]
        tested: list[Found] = [{f: s for f, s in row.items() if is_ordinary(f, ordinary)} for row in found]
        hits += weigh(tested, reading, ordinary.words, WEIGHTS if reading.form == "rows" else _OF_TEXTS)
    return tuple(sorted(hits, key=lambda hit: hit.q_value))
