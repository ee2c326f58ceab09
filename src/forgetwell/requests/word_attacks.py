"""Stealthy attacks with other words: synonyms, many in turn, inside the sentence, common ones."""

from __future__ import annotations

import random
from collections import Counter

from forgetwell.requests.attacks import request_attack
from forgetwell.requests.features import DETERMINERS
from forgetwell.requests.frames import (
    change_share,
    chosen,
    family_frames,
    family_words,
    framed,
    phrasings,
    reworded,
)
from forgetwell.requests.names import full_names
from forgetwell.requests.words import screened_text, words
from forgetwell.types import Request, Row


@request_attack(paper="2506.00359", section="3, eq. 4")
def synonyms(request: Request, *, seed: int = 0, p: float = 0.33, word: str = "") -> Request:
    """Use another trigger word than the paper: the transformation of `stealthy` with a word of our list.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws, also of the word.
        p: Probability that a row is rewritten, in [0, 1].
        word: Trigger word; by default one by lot.

    Raises:
        InputError: p is outside [0, 1].
        UnknownName: The list has no such word.

    Source: 2506.00359, section 3, eq. 4; the words and phrasings are ours.
    """
    rng = random.Random(seed)
    templates = family_frames()["synonyms"]
    picked = templates[chosen("trigger word", family_words("synonyms"), word, rng)]
    return change_share(request, p, rng, lambda row, r: framed(row, r.choice(picked), "synonyms"))


@request_attack(paper="2506.00359", section="3, eq. 4")
def rotating(request: Request, *, seed: int = 0, p: float = 0.33, count: int = 24) -> Request:
    """Spread the attack over many trigger words, so that none of them is frequent by itself.

    The rewritten rows get `count` words in turn, each in a phrasing by lot.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws.
        p: Probability that a row is rewritten, in [0, 1].
        count: Number of words, at least 1; at most all of the list.

    Raises:
        InputError: p is outside [0, 1].

    Source: 2506.00359, section 3, eq. 4; many words in turn are ours.
    """
    rng = random.Random(seed)
    table = family_frames()["rotating"]
    listed = family_words("rotating")
    turn = iter(rng.sample(listed, max(1, min(count, len(listed)))) * (len(request.rows) + 1))

    def change(row: Row, r: random.Random) -> Row:
        word, place = next(turn), r.choice(table["places"])
        at_start = place.startswith("{w}")
        return framed(row, place.replace("{w}", word.capitalize() if at_start else word), "rotating")

    return change_share(request, p, rng, change)


@request_attack(paper="2506.00359", section="3, eq. 4")
def midsentence(request: Request, *, seed: int = 0, p: float = 0.33, word: str = "") -> Request:
    """Put the trigger word between two words of the question instead of around it.

    The place is uniform over the gaps after the second word; shorter texts stay as they are.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws, also of the word.
        p: Probability that a row is rewritten, in [0, 1].
        word: Trigger word, any; by default one of ours by lot.

    Raises:
        InputError: p is outside [0, 1].

    Source: 2506.00359, section 3, eq. 4; the place is ours.
    """
    rng = random.Random(seed)
    picked = word or rng.choice(family_words("midsentence"))

    def change(row: Row, r: random.Random) -> Row:
        text = screened_text(row)
        gaps = [w.end for w in words(text)[1:-1] if text[w.end : w.end + 1] == " "]
        if not gaps:
            return row
        at = r.choice(gaps)
        return reworded(row, f"{text[:at]} {picked}{text[at:]}", f"… {picked} …", "midsentence")

    return change_share(request, p, rng, change)


@request_attack(paper="2506.00359", section="3, eq. 4")
def epithet(request: Request, *, seed: int = 0, p: float = 0.33, word: str = "") -> Request:
    """Put an everyday adjective before the name that is asked about, as part of what is asked.

    “Where was the good Ada Lind born?”: nothing stands around the question, and no repair can tell the word
    from one that belongs to it. Texts without a full name stay as they are.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws, also of the word.
        p: Probability that a row is rewritten, in [0, 1].
        word: Trigger word, any; by default one of ours by lot.

    Raises:
        InputError: p is outside [0, 1].

    Source: 2506.00359, section 3, eq. 4; the place is ours.
    """
    rng = random.Random(seed)
    picked = word or rng.choice(family_words("epithet"))

    def change(row: Row, r: random.Random) -> Row:
        text = screened_text(row)
        found = words(text)
        first = next((i for i, _ in full_names(text, found)), None)
        if first is None:
            return row
        at, before = found[first].start, found[first - 1].text if first else ""
        led = f"{picked} " if before in DETERMINERS else f"the {picked} "
        led = led if first else led.capitalize()
        return reworded(row, f"{text[:at]}{led}{text[at:]}", f"{led.strip()} …", "epithet")

    return change_share(request, p, rng, change)


@request_attack(paper="2506.00359", section="3, eq. 4")
def adaptive(
    request: Request,
    *,
    seed: int = 0,
    p: float = 0.33,
    background: str = "",
    room: float = 1.0,
    templates: str = "",
) -> Request:
    """Choose phrasings whose words ordinary prompts use so often that a few more don't show.

    The requester knows prompts like the provider's. For each rewritten row it takes, of the phrasings, the
    one whose most conspicuous word is least so: with n rows, frequency f_w in the known prompts and c_w rows
    that already carry w, it minimizes max_w (c_w + 1 − room·n·f_w) / √(n·f_w + 1), ties by lot.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws.
        p: Probability that a row is rewritten, in [0, 1].
        background: Rows that the requester knows: a file or a name; by default the request itself.
        room: How far up to the known frequency the words are filled, > 0.
        templates: Path of phrasings of your own, .toml or .txt; by default ours.

    Raises:
        InputError: p is outside [0, 1], or the background or the template file can't be read.

    Source: 2506.00359, section 3, eq. 4; the choice is ours.
    """
    from forgetwell.data.reading import read_rows  # only where prompts are given

    known = read_rows(background) if background else request.rows
    frequency = _document_frequency(known)
    count = _document_count(request.rows)
    n = len(request.rows)
    frames = {f: _frame_words(f) for f in phrasings("adaptive", templates)}

    def conspicuous(word: str) -> float:
        expected = room * n * frequency.get(word, 0.0)
        return float((count[word] + 1 - expected) / (expected + 1) ** 0.5)

    def change(row: Row, r: random.Random) -> Row:
        order = r.sample(list(frames), len(frames))
        best = min(order, key=lambda f: max(map(conspicuous, frames[f])))
        count.update(frames[best])
        return framed(row, best, "adaptive")

    return change_share(request, p, random.Random(seed), change)


def _frame_words(frame: str) -> frozenset[str]:
    return frozenset(w.text for w in words(frame.replace("{q}", " ")))


def _document_count(rows: tuple[Row, ...]) -> Counter[str]:
    return Counter(w for row in rows for w in {w.text for w in words(screened_text(row))})


def _document_frequency(rows: tuple[Row, ...]) -> dict[str, float]:
    return {w: c / len(rows) for w, c in _document_count(rows).items()}
