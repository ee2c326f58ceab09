"""Repairs of flagged rows: drop them, take the flagged spans out, weigh them less, balance the words."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import regex

from forgetwell.errors import InputError
from forgetwell.requests.features import MASK, mark
from forgetwell.requests.repairs import Repaired, repair
from forgetwell.requests.screens.hidden import hidden_spans
from forgetwell.requests.template_sets import QUESTION_WORDS, apply_template
from forgetwell.requests.words import Word, screened_text, with_screened_text, word_lists, words
from forgetwell.types import Edit, Finding, Request, Row

_MODALS = frozenset(["can", "could", "would", "will", "do", "may", "might", "shall"])
_PREPOSITIONS = frozenset(
    [
        "in",
        "on",
        "at",
        "from",
        "to",
        "of",
        "for",
        "by",
        "with",
        "about",
        "under",
        "through",
        "during",
        "since",
        "until",
        "into",
    ]
)
_POLITE = frozenset(["please", "kindly", "thanks", "pls", "plz", "thx", "sorry"])
_LONGEST_FRAME = 80
_TAIL = regex.compile(r"(?:, |\s)(?=(?:please|thanks|thank you|kindly)\b[^\p{L}]*+$)", regex.IGNORECASE)
_SPACES = regex.compile(r"[ \t]{2,}+")
_BEFORE_MARK = regex.compile(r"(?:\s*+,)?+\s*+([.!?;:])|\s++(,)")
_EDGE = regex.compile(r"^[\s,;:.!?—–\-)]++|[\s,;:—–\-(]++$")


@repair
def drop(request: Request, retain: tuple[Row, ...], findings: tuple[Finding, ...]) -> Repaired:
    """Leave out every flagged row.

    What an honest requester wrote in them is then not forgotten.

    Raises:
        InputError: Every row is flagged.

    Source: ours; the paper's baseline drops high-loss rows instead (2506.00359, section 5).
    """
    flagged = {f.row_id for f in findings}
    rows = tuple(r for r in request.rows if r.id not in flagged)
    if not rows:
        raise InputError("Every row is flagged, so that nothing would be left. Use strip or balance instead.")
    return Repaired(replace(request, rows=rows), retain)


@repair
def strip(request: Request, retain: tuple[Row, ...], findings: tuple[Finding, ...]) -> Repaired:
    """Take what frames the question out of flagged rows, and keep the question.

    The question runs from its question word (with a preposition) to its question mark. A span flagged before
    or behind it goes with all that is before or behind it; a span inside it goes only if it is hidden text,
    punctuation, or words that ask or chat ("please", "actually"). Then the first letter is a capital again
    and a lost question mark is back. A row of which nothing but marks would be left stays as it is; so does
    casing, because the names' capitals are lost.

    Source: ours; the inverse of 2506.00359, section 3, eq. 4.
    """
    spans = _spans(findings)
    rows = tuple(_stripped(r, spans[r.id]) if r.id in spans else r for r in request.rows)
    return Repaired(replace(request, rows=rows), retain)


@repair
def down_weight(
    request: Request, retain: tuple[Row, ...], findings: tuple[Finding, ...], *, factor: float = 0.25
) -> Repaired:
    """Multiply the weight of flagged rows' losses by a factor.

    Args:
        request: The request.
        retain: Rows to keep; unchanged.
        findings: What was found.
        factor: From 0 (ignored) to 1 (unchanged).

    Raises:
        InputError: `factor` is outside [0, 1].

    Source: ours.
    """
    if not 0 <= factor <= 1:
        raise InputError(f"factor={factor} was given; choose a number from 0 to 1.")
    flagged = {f.row_id for f in findings}
    rows = tuple(
        replace(r, weight=r.weight * factor, edit=_edit(r, "down_weight", f"weight × {factor:g}"))
        if r.id in flagged
        else r
        for r in request.rows
    )
    return Repaired(replace(request, rows=rows), retain)


@repair
def balance(
    request: Request,
    retain: tuple[Row, ...],
    findings: tuple[Finding, ...],
    *,
    share: float = -1.0,
    seed: int = 0,
) -> Repaired:
    """Put the flagged words into retain prompts, so that they no longer tell forgetting apart.

    A share of the retain rows, by default the share of flagged rows, gets the frame of a flagged row drawn
    by lot: its text with the question replaced by theirs. Rows with a flagged span inside the question lend
    the flagged words instead, put before the question.

    Args:
        request: The request; unchanged.
        retain: Rows to keep.
        findings: What was found.
        share: Share of retain rows; below 0 = as in the request.
        seed: Of the lot.

    Raises:
        InputError: `share` is above 1, or there are no retain rows.

    Source: ours.
    """
    if share > 1 or not retain:
        raise InputError(
            f"share={share} and {len(retain)} retain rows were given; choose a share up to 1 and give rows."
        )
    spans = _spans(findings)
    frames = [_frame(screened_text(r), spans[r.id]) for r in request.rows if r.id in spans]
    wanted = len(frames) / max(1, len(request.rows)) if share < 0 else share
    if not frames:
        return Repaired(request, retain)
    rng = random.Random(seed)
    rows = tuple(_framed(r, rng.choice(frames)) if rng.random() < wanted else r for r in retain)
    return Repaired(request, rows)


def _spans(findings: Sequence[Finding]) -> Mapping[str, list[tuple[int, int]]]:
    spans: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for finding in findings:
        if finding.span is not None:
            spans[finding.row_id].append(finding.span)
    return spans


def _stripped(row: Row, spans: Sequence[tuple[int, int]]) -> Row:
    text = screened_text(row)
    cut = text
    for start, end in sorted(_merged(_cuts(text, spans)), reverse=True):
        hides = end - start == 1 and bool(hidden_spans(text[start:end]))
        cut = cut[:start] + ("" if hides else " ") + cut[end:]
    cut = _tidied(cut, asked="?" in text or _first(cut) in QUESTION_WORDS)
    if not words(cut) or cut == text:
        return row
    return replace(with_screened_text(row, cut), edit=_edit(row, "strip", "flagged text taken out"))


def _cuts(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what to take out: the frame before or behind the question, and asides inside it."""
    start, end = _question(text) or (0, len(text))
    cuts = []
    for a, b in spans:
        if a < start:
            cuts.append((0, start))
        if b > end:
            cuts.append((end, len(text)))
        if a >= start and b <= end and _aside(text[a:b]):
            cuts.append(_whole_run(text, a, b))
    return cuts


def _whole_run(text: str, a: int, b: int) -> tuple[int, int]:
    """Return a span grown over repetitions of its first and last mark: of “..” both are the frame."""
    if words(text[a:b]):
        return a, b
    while a > 0 and text[a - 1] == text[a]:
        a -= 1
    while b < len(text) and text[b] == text[b - 1]:
        b += 1
    return a, b


def _question(text: str) -> tuple[int, int] | None:
    """Return where the question stands: from its question word, with a preposition, to its mark or the end.

    What comes before must be a frame: at most 80 characters without a name. None if nothing asks.
    """
    found = words(text)
    for i, word in enumerate(found):
        if word.text not in QUESTION_WORDS or _to_a_person(found, i):
            continue
        first = i - (i > 0 and found[i - 1].text in _PREPOSITIONS)
        start = found[first].start
        if start > _LONGEST_FRAME or MASK in mark(text[:start]).compared:
            return None
        return start, _end(text, word.start)
    return None


def _end(text: str, start: int) -> int:
    mark_at = text.find("?", start)
    tail = _TAIL.search(text, start)
    return min(mark_at + 1 if mark_at >= 0 else len(text), tail.start() if tail else len(text))


def _to_a_person(found: Sequence[Word], i: int) -> bool:
    """Say whether this is the "can you" of a frame, not the start of what is asked."""
    following = found[i + 1].text if i + 1 < len(found) else ""
    return found[i].text in _MODALS and following in word_lists()["person"]


def _aside(text: str) -> bool:
    """Say whether a flagged piece inside a question can go: hidden text, marks, or words that ask or chat."""
    chat = word_lists()["talk"] | _POLITE
    return bool(hidden_spans(text)) or all(w.text in chat for w in words(text))


def _frame(text: str, spans: Sequence[tuple[int, int]]) -> str:
    question = _question(text)
    if question is not None and any(b <= question[0] or a >= question[1] for a, b in spans):
        before, after = text[: question[0]], text[question[1] :]
        return f"{before.replace('{q}', ' ')}{{q}}{after.replace('{q}', ' ')}"
    flagged = " ".join(dict.fromkeys(text[a:b] for a, b in _merged(spans)))
    return f"{flagged.replace('{q}', ' ')} {{q}}"


def _framed(row: Row, frame: str) -> Row:
    text = apply_template(frame, screened_text(row))
    return replace(with_screened_text(row, text), edit=_edit(row, "balance", frame))


def _tidied(text: str, *, asked: bool) -> str:
    text = _without_half_pairs(text.strip())
    text = _EDGE.sub("", _BEFORE_MARK.sub(r"\1\2", _SPACES.sub(" ", text)))
    if text[:1].islower():
        text = text[0].upper() + text[1:]
    ends = text[-1:] in "?.!…)\"'"
    return text if not text or ends else text + ("?" if asked else "")


def _without_half_pairs(text: str) -> str:
    """Take away a bracket or quotation mark at an edge whose other half was taken out."""
    if text.count(")") > text.count("("):
        text = text.rstrip(")")
    if text.count("(") > text.count(")"):
        text = text.lstrip("(")
    if text.count('"') % 2:
        text = text[1:] if text.startswith('"') else text.removesuffix('"')
    return text


def _first(text: str) -> str:
    found = words(text)
    return found[0].text if found else ""


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _edit(row: Row, by: str, what: str) -> Edit:
    return Edit(by, what, row.prompt, row.answer)
