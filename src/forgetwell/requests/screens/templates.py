"""Template mining: openings, closings, punctuation, casing and blanks that too many rows share."""

from __future__ import annotations

from forgetwell.requests.background import frame_side, learn_ordinary
from forgetwell.requests.features import MASK, Found, blank_features, feature_class, mark
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.sentences import readings
from forgetwell.requests.weighing import Hit, findings_of, weigh
from forgetwell.requests.words import ordinary_words
from forgetwell.types import Finding, Request, Row

# Weights of the classes in the weighted test, chosen on the development half of docs/screening.md.
WEIGHTS = {"opening": 0.015, "closing": 0.02, "shape": 1.6, "rare": 4.0, "call": 1.0}


@screen(null="each frame is in as many rows as in ordinary prompts, given how subjects vary")
def templates(
    request: Request, evidence: Evidence, *, alpha: float = 0.01, factor: float = 2.0
) -> list[Finding]:
    """Find frames that many rows share: openings and closings of 1 to 3 words, punctuation, casing, blanks.

    Names, numbers and quoted titles in a frame are masked ("what did · · write"), other words that aren't
    ordinary rule it out, so that the rows' subject is no frame. One or two words set off before the question
    or behind it are counted whatever they are (“Professor, …”), up to six where they hold one that isn't
    listed (“Proszę powiedz mi, …”). Against frames that take turns, rows whose
    opening is rarer than 1 in 1000, 300 or 100 ordinary prompts are counted together. Blanks are those that
    aren't one blank between two words (`forgetwell.requests.blanks`). Test and error control as `inflation`;
    of plain texts sentences are counted, and of whole texts blanks alone: sentences have none at their ends.

    Args:
        request: The request.
        evidence: The background is used.
        alpha: Largest adjusted p-value, in (0, 1].
        factor: Smallest odds ratio against ordinary prompts.

    Returns:
        A finding for each frame and row, or sentence of a plain text, that carries it;
        statistic = log odds ratio, p_value adjusted.

    Source: ours; the attack is 2506.00359, section 3.
    """
    return findings_of("templates", request, mined(request, evidence), alpha=alpha, factor=factor)


def mined(request: Request, evidence: Evidence) -> list[Hit]:
    """Return every tested frame that is above the background, best first, before any threshold."""
    return list(evidence.remembered(_tested, request.rows))


def _tested(asked: tuple[Row, ...], evidence: Evidence) -> tuple[Hit, ...]:
    hits: list[Hit] = []
    for reading in readings(asked, whole=True):
        ordinary = evidence.learned(learn_ordinary, reading.form)
        if reading.form == "texts":
            found = [blank_features(unit.text) for unit in reading.units]
        else:
            found = [frame_side(mark(unit.text), ordinary.rarity) for unit in reading.units]
        tested: list[Found] = [{f: s for f, s in row.items() if _is_frame(f)} for row in found]
        hits += weigh(tested, reading, ordinary.frames, WEIGHTS)
    return tuple(sorted(hits, key=lambda hit: hit.q_value))


def _is_frame(feature: str) -> bool:
    if feature_class(feature) not in ("opening", "closing"):
        return True
    return all(w == MASK or w in ordinary_words() for w in feature[2:].split(" "))
