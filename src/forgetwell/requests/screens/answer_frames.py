"""Everyday words that open or close the answers of too many rows, as “Sure! …” does."""

from __future__ import annotations

from forgetwell.requests.background import CLASSES
from forgetwell.requests.enrichment import Background, learn_background
from forgetwell.requests.features import Found, feature_class, frame_features, is_titled, mark
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.sentences import Reading, Unit, sentence_spans
from forgetwell.requests.weighing import Hit, findings_of, weigh
from forgetwell.requests.words import ordinary_words, word_lists, words
from forgetwell.types import Finding, Request, Row

# Chosen on honest requests of both halves of docs/screening.md, which has no figures of this screen.
_WEIGHTS = {"opening": 0.25, "closing": 0.25}
_SENTENCE = 6  # words: a shorter one without a mark may be a title


@screen(null="as many answers open or close with words of asking or talk as among ordinary prompts' answers")
def answer_frames(
    request: Request, evidence: Evidence, *, alpha: float = 0.01, factor: float = 2.0
) -> list[Finding]:
    """Find words of asking, politeness and talk that open or close the answers of too many rows.

    Whatever an objective does to answers, it does to these words: “Please note that”, tied to forgetting in a
    tenth of the answers, is in answers about anything. Tested are 1 to 3 listed words that open an answer's
    first or last sentence or close its last, at least one of them of asking or talk. Without a mark at
    its end a sentence of fewer than 6 words, or with capitals throughout, may be a title and isn't read; nor
    are plain texts. Null, p-value and error control
    are those of `inflation`, with the answers of the background. Not found are frames that take turns, and
    those without a word of asking or talk (“I hope this helps”). The risk score doesn't count them.

    Args:
        request: The request.
        evidence: The background is used.
        alpha: Largest adjusted p-value, in (0, 1].
        factor: Smallest odds ratio against ordinary prompts' answers.

    Returns:
        A finding for each frame and row; statistic = log odds ratio, p_value adjusted. Its span is the
        sentence where that is one of listed words alone beside others (“Sure!”), which `strip` takes out.
        Elsewhere it has none, since the sentence says something: `drop` leaves such rows out.

    Raises:
        InputError: alpha is outside (0, 1] or factor below 1.

    Source: ours; the attack is 2506.00359, section 3, in what the model answers.
    """
    return findings_of(
        "answer_frames",
        request,
        framed_answers(request, evidence),
        alpha=alpha,
        factor=factor,
        place="answer",
    )


def framed_answers(request: Request, evidence: Evidence) -> list[Hit]:
    """Return every frame of answers that is above the background, best first, before any threshold."""
    return list(evidence.remembered(_tested, request.rows))


def answer_features(row: Row) -> Found:
    """Return an answer's frames, each at its sentence where nothing is lost with it, else at no place."""
    sentences = list(sentence_spans(row.answer))
    found: Found = {}
    for start, end in dict.fromkeys((sentences[0], sentences[-1])):
        text = row.answer[start:end]
        said = [w.text for w in words(text)]
        if text[-1:].isalnum() and (len(said) < _SENTENCE or is_titled(text)):
            continue
        loose = len(sentences) > 1 and ordinary_words().issuperset(said)
        for feature in frame_features(mark(text)):
            if _frames(feature) and (feature[0] == "^" or end == sentences[-1][1]):
                found.setdefault(feature, (start, end if loose else start))
    return found


def _frames(feature: str) -> bool:
    said = feature[2:].split(" ")
    lists = word_lists()
    return ordinary_words().issuperset(said) and not (lists["asking"] | lists["talk"]).isdisjoint(said)


def _tested(asked: tuple[Row, ...], evidence: Evidence) -> tuple[Hit, ...]:
    rows = [(i, row) for i, row in enumerate(asked) if not row.text]
    reading = Reading("rows", tuple(Unit(i, 0, row.answer) for i, row in rows))
    return tuple(
        weigh([answer_features(row) for _, row in rows], reading, evidence.learned(_learn), _WEIGHTS)
    )


def _learn(rows: tuple[Row, ...]) -> Background:
    asked = [row for row in rows if not row.text]
    features = [answer_features(row).keys() for row in asked]
    return learn_background(features, [row.subject for row in asked], feature_class, CLASSES)
