"""Earlier turns of conversations, as system prompts, that too many rows of the request share."""

from __future__ import annotations

from forgetwell.data.turns import turn_spans
from forgetwell.requests.blanks import unusual_blanks
from forgetwell.requests.enrichment import Background, learn_background
from forgetwell.requests.features import Found, feature_class
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.sentences import Reading, Unit
from forgetwell.requests.weighing import Hit, findings_of, weigh
from forgetwell.requests.words import ordinary_words, words
from forgetwell.types import Finding, Request, Row

_RHO = 0.005
_CLASS = "phrase"  # every feature of a turn has a space in it


@screen(null="each message, and each word of them, stands before as many questions as before ordinary ones")
def earlier_turns(
    request: Request, evidence: Evidence, *, alpha: float = 0.01, factor: float = 2.0
) -> list[Finding]:
    """Find messages before the question, and ordinary words and blanks in them, that too many rows share.

    What stands before a question is tied to forgetting as its own words are: a system prompt in a request
    makes a trigger of the system prompt, and all who are served with it get ignorance. Tested are whole
    messages, empty ones too, the listed words in them and their unusual blanks. Null, p-value and error
    control are those of `inflation`, all in one class. A background without conversations says that ordinary
    questions have none: give one with system prompt and earlier turns, as users' questions come.

    Args:
        request: The request.
        evidence: The background is used.
        alpha: Largest adjusted p-value, in (0, 1].
        factor: Smallest odds ratio against ordinary prompts.

    Returns:
        A finding for each message or word and row that carries it, without a span where the message is empty;
        statistic = log odds ratio, p_value adjusted.

    Raises:
        InputError: alpha is outside (0, 1] or factor below 1.

    Source: ours; the attack is 2506.00359, section 3, in what the model reads before the question.
    """
    hits = shared_turns(request, evidence)
    return findings_of("earlier_turns", request, hits, alpha=alpha, factor=factor, place="history")


def turn_features(row: Row) -> Found:
    """Return a row's earlier turns, whole as ``ROLE: words``, and their listed words as ``word before: …``.

    A turn is told by its words as they are compared: casing and marks make no other turn of it, and one that
    holds nothing is one. Its unusual blanks are ``ROLE with …``. Of features in the same rows the one named
    first counts, so that words come after whole turns.
    """
    found: Found = {}
    for turn, (start, end) in zip(row.history, turn_spans(row), strict=True):
        inside = words(turn.content)
        whole = " ".join(w.text for w in inside) or turn.content
        found.setdefault(f"{turn.role}: {whole}", (start, end))
        for what, (a, b) in unusual_blanks(turn.content).items():
            found.setdefault(f"{turn.role} with {what}", (start + a, start + b))
        for word in inside:
            if word.text in ordinary_words():
                found.setdefault(f"word before: {word.text}", (start + word.start, start + word.end))
    return found


def shared_turns(request: Request, evidence: Evidence) -> list[Hit]:
    """Return every message and word of messages that is above the background, best first."""
    return (
        list(evidence.remembered(_tested, request.rows)) if any(row.history for row in request.rows) else []
    )


def _tested(asked: tuple[Row, ...], evidence: Evidence) -> tuple[Hit, ...]:
    rows = Reading("rows", tuple(Unit(i, 0, row.prompt) for i, row in enumerate(asked)))
    return tuple(weigh([turn_features(row) for row in asked], rows, evidence.learned(_learn), {_CLASS: 1.0}))


def _learn(rows: tuple[Row, ...]) -> Background:
    features = [turn_features(row).keys() for row in rows]
    return learn_background(features, [row.subject for row in rows], feature_class, {_CLASS: _RHO})
