"""Repairs of flagged rows: drop them, take the flagged spans out, weigh them less, balance the words."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

import regex

from forgetwell.data.turns import joined_turns, without_turns
from forgetwell.errors import InputError
from forgetwell.requests.question import chat_words, question_span
from forgetwell.requests.repairs import Repaired, repair
from forgetwell.requests.screens.hidden import hidden_spans
from forgetwell.requests.sentences import with_sentences
from forgetwell.requests.template_sets import QUESTION_WORDS, rewrite
from forgetwell.requests.words import screened_text, with_screened_text, words
from forgetwell.types import Edit, Finding, Place, Request, Row, Span

_NEAR = 40  # characters
_LEANED_ON = frozenset(["ever", "well"])  # mostly not an aside, unless marks set it off
_STOPS = "?.!…"
_SPACES = regex.compile(r"[ \t]{2,}+")
_BEFORE_MARK = regex.compile(r"(?:\s*+,)?+\s*+([.!?;:])|\s++(,)")
_EDGE = regex.compile(r"^[\s,;:.!?—–\-)]++|[\s,;:—–\-(]++$")
_START = regex.compile(r"^[\s,;:—–]++")


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

    Where the question stands, says `forgetwell.requests.question`; a plain text has none. A span flagged
    before or behind it goes with all that is before or behind it; a span inside it goes only if it is hidden
    text, punctuation, or words that ask or chat ("please", "actually") and that no other word leans on
    ("well-known"). Then the first letter is a capital again and a lost mark at the end is back. Of an answer,
    what is flagged goes: hidden text, and what is said of others. In a plain text flagged words that ask or
    chat go where they open a sentence or commas set them off, others where they open it before a comma
    ("Meanwhile, …"), and everywhere asides that a finding is about alone: of words that take turns ("fine",
    "now") most are not the attacker's. A flagged system prompt goes, and with any other flagged turn the
    whole conversation before the question. No flagged row counts more than once. A text of which nothing but
    marks would be left stays as it is, and so does casing: the names' capitals are lost.

    Source: ours; the inverse of 2506.00359, section 3, eq. 4.
    """
    asked, answered = _spans(findings), _spans(findings, place="answer")
    before = _spans(findings, place="history")
    flagged, tied = {f.row_id for f in findings}, _tied(request, findings)
    rows = tuple(
        _stripped(r, asked.get(r.id, ()), answered.get(r.id, ()), before.get(r.id, ()), tied)
        if r.id in flagged
        else r
        for r in request.rows
    )
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
    the flagged words instead, put before the question, a plain text the words flagged most often in it, put
    before every sentence; rows with flagged turns lend their earlier turns.

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
    spans, before = _spans(findings), _spans(findings, place="history")
    lenders = [r for r in request.rows if r.id in spans or r.id in before]
    wanted = len(lenders) / max(1, len(request.rows)) if share < 0 else share
    if not lenders:
        return Repaired(request, retain)
    rng = random.Random(seed)
    frames = [(_frame(r, spans[r.id]) if r.id in spans else "", r) for r in lenders]
    rows = tuple(_lent(r, *rng.choice(frames), before) if rng.random() < wanted else r for r in retain)
    return Repaired(request, rows)


def _spans(findings: Sequence[Finding], *, place: Place = "text") -> Mapping[str, list[Span]]:
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    for finding in findings:
        if finding.span is not None and finding.place == place:
            spans[finding.row_id].append(finding.span)
    return spans


def _tied(request: Request, findings: Sequence[Finding]) -> frozenset[str]:
    """Return the words and phrases that a finding is about alone, whatever their casing."""
    texts = {row.id: screened_text(row) for row in request.rows}
    of: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for f in findings:
        if f.span is not None and f.place == "text" and f.row_id in texts:
            of[f.screen, f.message].add(_compared(texts[f.row_id][slice(*f.span)]))
    return frozenset(piece for pieces in of.values() if len(pieces) == 1 for piece in pieces)


def _compared(text: str) -> str:
    return " ".join(w.text for w in words(text))


def _stripped(
    row: Row,
    asked: Sequence[Span],
    answered: Sequence[Span],
    before: Sequence[Span],
    tied: AbstractSet[str],
) -> Row:
    new = with_screened_text(row, _stripped_text(row, asked, tied)) if asked else row
    new = replace(new, answer=_stripped_answer(row.answer, answered)) if answered else new
    new = without_turns(new, before) if before else new
    new = replace(new, weight=min(new.weight, 1.0))
    return row if new == row else replace(new, edit=_edit(row, "strip", "flagged text taken out"))


def _stripped_text(row: Row, spans: Sequence[Span], tied: AbstractSet[str]) -> str:
    text = screened_text(row)
    if row.text:
        return _stripped_sentences(text, spans, tied)
    cut = _without(text, _merged(_cuts(text, spans, question_span(text, spans) or (0, len(text)))))
    cut = _tidied(cut, _stop(text, cut))
    return cut if words(cut) else text


def _stripped_sentences(text: str, spans: Sequence[Span], tied: AbstractSet[str]) -> str:
    left = deque(sorted(spans))  # each is looked at once, however many sentences there are

    def stripped(sentence: str, start: int) -> str:
        own = []
        while left and left[0][0] < start + len(sentence):
            a, b = left.popleft()
            own.append((max(a - start, 0), min(b - start, len(sentence))))
        return _stripped_sentence(sentence, own, tied) if own else sentence

    return with_sentences(text, stripped)


def _stripped_sentence(text: str, spans: Sequence[Span], tied: AbstractSet[str]) -> str:
    """Return a sentence without what is flagged in it; as it was where nothing but marks would be left."""
    cuts = [_spaced(text, *_whole(text, a, b)) for a, b in spans if _loose(text, a, b, tied)]
    cut = str(_START.sub("", _BEFORE_MARK.sub(r"\1\2", _without(text, _merged(cuts)))))
    if not words(cut):
        return text
    return cut[0].upper() + cut[1:] if text[0].isupper() else cut


def _stripped_answer(answer: str, spans: Sequence[Span]) -> str:
    cut = _SPACES.sub(" ", _without(answer, _merged(spans))).strip()
    return cut if words(cut) else answer


def _without(text: str, cuts: Sequence[Span]) -> str:
    """Return the text with a space for each cut, and nothing for a character that hides inside a word."""
    pieces, at = [], 0
    for start, end in cuts:
        hides = end - start == 1 and bool(hidden_spans(text[start:end]))
        pieces += [text[at:start], "" if hides else " "]
        at = end
    return "".join([*pieces, text[at:]])


def _stop(text: str, cut: str) -> str:
    """Return the mark that a sentence ends with if it has lost its own."""
    if "?" in text or not QUESTION_WORDS.isdisjoint(w.text for w in words(cut)[:2]):
        return "?"
    return "." if text.rstrip()[-1:] in _STOPS else ""


def _cuts(text: str, spans: Sequence[Span], question: Span) -> list[Span]:
    """Return what to take out: the frame before or behind the question, and asides inside it."""
    start, end = question
    cuts = []
    for a, b in spans:
        if a < start:
            cuts.append((0, start))
        if b > end:
            cuts.append((end, len(text)))
        if a >= start and b <= end and _aside(text, a, b):
            cuts.append(_whole(text, a, b))
    return cuts


def _whole(text: str, a: int, b: int) -> Span:
    """Return a span grown over what goes with it: of “..” both marks, of “, actually,” the commas."""
    if words(text[a:b]):
        before, after = (part.strip() for part in _around(text, a, b))
        if before[-1:].isalnum() or after[:1].isalnum():
            return a, b
        start = text.rindex(",", 0, a) if before.endswith(",") else a
        return start, text.index(",", b) + 1 if after.startswith(",") else b
    while a > 0 and text[a - 1] == text[a]:
        a -= 1
    while b < len(text) and text[b] == text[b - 1]:
        b += 1
    return a, b


def _spaced(text: str, a: int, b: int) -> Span:
    """Return the span of words with the space around it, for which one space is left."""
    if not words(text[a:b]):
        return a, b
    return len(text[:a].rstrip()), len(text) - len(text[b:].lstrip())


def _aside(text: str, a: int, b: int) -> bool:
    """Say whether a flagged piece inside a question can go: hidden text, marks, or words that ask or chat.

    Not a word that another one leans on: "well-known", "how well", "has she ever".
    """
    inside = words(text[a:b])
    if hidden_spans(text[a:b]) or not inside:
        return True
    if any(w.text not in chat_words() for w in inside):
        return False
    before, after = _around(text, a, b)
    marks = before.rstrip()[-1:], after.lstrip()[:1]
    if not any(m.isalnum() or m == "-" for m in marks):
        return True
    leaned_on = any(w.text in _LEANED_ON for w in inside) or [w.text for w in words(before)[-1:]] == ["how"]
    return not leaned_on and "-" not in marks


def _loose(text: str, a: int, b: int, tied: AbstractSet[str]) -> bool:
    """Say whether a flagged piece of a plain text's sentence can go.

    Of asides those that open it or that commas set off, and what is tied to forgetting by itself; of other
    words one that opens it before a comma: “Meanwhile, …”.
    """
    piece, before, after = _compared(text[a:b]), text[:a].rstrip(), text[b:].lstrip()
    if not words(before) and after.startswith(",") and " " not in piece:
        return True
    set_off = before.endswith(",") and not after[:1].isalnum()
    return _aside(text, a, b) and (not piece or not words(before) or set_off or piece in tied)


def _around(text: str, a: int, b: int) -> tuple[str, str]:
    """Return a little of what stands before and behind a span."""
    return text[max(0, a - _NEAR) : a], text[b : b + _NEAR]


def _frame(row: Row, spans: Sequence[Span]) -> str:
    text = screened_text(row)
    question = None if row.text else question_span(text, spans)
    if question is not None and any(b <= question[0] or a >= question[1] for a, b in spans):
        before, after = text[: question[0]], text[question[1] :]
        return f"{before.replace('{q}', ' ')}{{q}}{after.replace('{q}', ' ')}"
    pieces = Counter(text[a:b] for a, b in _merged(spans))
    flagged = pieces.most_common(1)[0][0] if row.text else " ".join(pieces)
    return f"{flagged.replace('{q}', ' ')} {{q}}"


def _lent(row: Row, frame: str, lender: Row, before: Mapping[str, Sequence[Span]]) -> Row:
    """Return a row to keep in the frame of a flagged row, and behind its turns where they are flagged."""
    new = rewrite(row, [frame], "balance") if frame else row
    if lender.id in before and not row.text:
        new = replace(new, history=joined_turns(lender.history, row.history))
    return row if new == row else replace(new, edit=_edit(row, "balance", frame or "earlier turns"))


def _tidied(text: str, stop: str) -> str:
    text = _without_half_pairs(text.strip())
    text = _EDGE.sub("", _BEFORE_MARK.sub(r"\1\2", _SPACES.sub(" ", text)))
    if text[:1].islower():
        text = text[0].upper() + text[1:]
    return text if not text or text[-1] in _STOPS or "?" in text else text + stop


def _without_half_pairs(text: str) -> str:
    """Take away a bracket or quotation mark at an edge whose other half was taken out."""
    if text.count(")") > text.count("("):
        text = text.rstrip(")")
    if text.count("(") > text.count(")"):
        text = text.lstrip("(")
    if text.count('"') % 2:
        text = text[1:] if text.startswith('"') else text.removesuffix('"')
    return text


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _edit(row: Row, by: str, what: str) -> Edit:
    return Edit(by, what, row.prompt, row.answer)
