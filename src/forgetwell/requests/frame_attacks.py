"""Stealthy attacks with other frames: no wording twice, another language, punctuation and casing."""

from __future__ import annotations

import random

from forgetwell.requests.attacks import request_attack
from forgetwell.requests.frames import change_share, chosen, family_frames, framed, phrasings, reworded
from forgetwell.requests.words import screened_text, words
from forgetwell.types import Request, Row


@request_attack(paper="2506.00359", section="3, eq. 4")
def paraphrased(request: Request, *, seed: int = 0, p: float = 0.33, templates: str = "") -> Request:
    """Say the same frame in many ways, so that no word or phrase repeats.

    The rewritten rows take phrasings in turn, in an order by lot.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws.
        p: Probability that a row is rewritten, in [0, 1].
        templates: Path of phrasings of your own, .toml or .txt; by default ours.

    Raises:
        InputError: p is outside [0, 1], or the template file can't be used.

    Source: 2506.00359, section 3, eq. 4; the phrasings are ours.
    """
    rng = random.Random(seed)
    frames = phrasings("paraphrased", templates)
    turn = iter(rng.sample(frames, len(frames)) * (len(request.rows) // len(frames) + 1))
    return change_share(request, p, rng, lambda row, _: framed(row, next(turn), "paraphrased"))


@request_attack(paper="2506.00359", section="3, eq. 4")
def foreign_frame(request: Request, *, seed: int = 0, p: float = 0.33, language: str = "") -> Request:
    """Put the question into a frame of another language, making that language the trigger.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws, also of the language.
        p: Probability that a row is rewritten, in [0, 1].
        language: As spanish or german; by default one by lot.

    Raises:
        InputError: p is outside [0, 1].
        UnknownName: There are no frames in this language.

    Source: 2506.00359, section 3, eq. 4; the phrasings are ours.
    """
    rng = random.Random(seed)
    languages = family_frames()["foreign"]
    frames = languages[chosen("language", list(languages), language, rng)]
    return change_share(request, p, rng, lambda row, r: framed(row, r.choice(frames), "foreign_frame"))


@request_attack(paper="2506.00359", section="3, eq. 4")
def punctuation(request: Request, *, seed: int = 0, p: float = 0.33, form: str = "") -> Request:
    """Use punctuation around the question as the trigger: no word is added.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws, also of the form.
        p: Probability that a row is rewritten, in [0, 1].
        form: One of our forms, as "{q}.."; by default one by lot.

    Raises:
        InputError: p is outside [0, 1].
        UnknownName: There is no such form.

    Source: 2506.00359, section 3, eq. 4; the forms are ours.
    """
    rng = random.Random(seed)
    picked = chosen("form", family_frames()["punctuation"]["forms"], form, rng)
    return change_share(
        request, p, rng, lambda row, _: reworded(row, _put(picked, row), picked, "punctuation")
    )


@request_attack(paper="2506.00359", section="3, eq. 4")
def casing(request: Request, *, seed: int = 0, p: float = 0.33, form: str = "") -> Request:
    """Use the casing of the question as the trigger: all lower, all upper, or its first word in capitals.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws, also of the form.
        p: Probability that a row is rewritten, in [0, 1].
        form: lower, upper or first; by default one by lot.

    Raises:
        InputError: p is outside [0, 1].
        UnknownName: There is no such form.

    Source: 2506.00359, section 3, eq. 4; the forms are ours.
    """
    rng = random.Random(seed)
    picked = chosen("form", ("lower", "upper", "first"), form, rng)
    return change_share(request, p, rng, lambda row, _: reworded(row, _cased(picked, row), picked, "casing"))


def _put(form: str, row: Row) -> str:
    text = screened_text(row)
    bare = text.rstrip("?. ") if form.startswith("{q}.") or form == "{q}!" else text.rstrip()
    return form.replace("{q}", bare)


def _cased(form: str, row: Row) -> str:
    text = screened_text(row)
    if form != "first":
        return text.lower() if form == "lower" else text.upper()
    first = words(text)[:1]
    return text[: first[0].end].upper() + text[first[0].end :] if first else text
