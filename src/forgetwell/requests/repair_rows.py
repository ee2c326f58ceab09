"""Repairs of flagged rows: drop them, take the flagged spans out, weigh them less, balance the words."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from forgetwell.data.turns import joined_turns, turn_spans, without_turns
from forgetwell.errors import InputError
from forgetwell.requests.bare import bare_question, bare_sentences
from forgetwell.requests.blanks import as_spaces, plain_blanks
from forgetwell.requests.casing import Spellings, spellings, usual_casing
from forgetwell.requests.cutting import STOPS, around, merged, opened, single_spaced, tidied, whole, without
from forgetwell.requests.features import attribute_features, mark
from forgetwell.requests.question import chat_words, question_span
from forgetwell.requests.repairs import Repaired, repair
from forgetwell.requests.screens.heavy_rows import usual_weight
from forgetwell.requests.screens.hidden import hidden_spans, unread_spans
from forgetwell.requests.sentences import with_sentences
from forgetwell.requests.template_sets import QUESTION_WORDS, rewrite
from forgetwell.requests.words import screened_text, with_screened_text, words
from forgetwell.types import Edit, Finding, Place, Request, Row, Span

_STRANGE, _FRAMES = "strange_words", "templates"
_LEANED_ON = frozenset(["ever", "well"])  # mostly not an aside, unless marks set it off


@dataclass(frozen=True)
class _Flagged:
    """What is flagged in a row: in its text (as strange words, as frames), its answer, its earlier turns."""

    asked: Sequence[Span]
    strange: Collection[Span]
    frames: Collection[Span]
    answered: Sequence[Span]
    before: Sequence[Span]


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
    text, punctuation, a word between an article and a full name ("the famous"), one that `strange_words` has
    flagged, a frame behind its last comma, or words that ask or chat ("please", "actually") and that no other
    word leans on ("well-known"). Then the first letter is a capital again and a lost mark at the end is back;
    blanks are single ones, also in a plain text with flagged ones. Of an answer, what is flagged goes: hidden
    text, and what is said of others. In a plain text flagged words that ask or chat go where they open a
    sentence or commas set them off, others where they open it before a comma ("Meanwhile, …"), and everywhere
    asides that a finding is about alone: of words that take turns ("fine", "now") most are not the
    attacker's. A flagged system prompt goes, and with any other flagged turn the whole conversation before
    the question. No flagged row counts more than most do. A text of which nothing but marks would be left
    stays as it is. So do words in look-alike letters, which may be the name (screening finds them again), and
    casing: the names' capitals are lost.

    Source: ours; the inverse of 2506.00359, section 3, eq. 4.
    """
    flagged, tied, most = _flagged(request, findings), _tied(request, findings), usual_weight(request.rows)
    rows = tuple(_stripped(r, flagged[r.id], tied, most) if r.id in flagged else r for r in request.rows)
    return Repaired(replace(request, rows=rows), retain)


@repair
def bare(request: Request, retain: tuple[Row, ...]) -> Repaired:
    """Ask every question bare, flagged or not: without what frames it, and without words of talk inside it.

    No screening is needed and no finding read, so that nothing is too rare to be taken out. What goes is told
    by wording alone (`forgetwell.requests.bare`), and stays where it names somebody. A question in one case,
    or with shouted words, is cased as others are, with the names' capitals of its answer, its subject and the
    request's other rows (`forgetwell.requests.casing`). A plain text's sentences lose the word of talk that
    opens them. System prompts and weights above 1 go: a request has no say in either. What is said of others
    in answers stays, and so do words that are part of what is asked.

    Source: ours; the inverse of 2506.00359, section 3, eq. 4.
    """
    others = spellings(text for row in request.rows for text in (*_named(row), row.prompt))
    most = usual_weight(request.rows)
    return Repaired(replace(request, rows=tuple(_bared(row, others, most) for row in request.rows)), retain)


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
    spans, before = _spans(findings), _turns(request, findings)
    lenders = [r for r in request.rows if r.id in spans or r.id in before]
    wanted = len(lenders) / max(1, len(request.rows)) if share < 0 else share
    if not lenders:
        return Repaired(request, retain)
    rng = random.Random(seed)
    frames = [(_frame(r, spans[r.id]) if r.id in spans else "", r) for r in lenders]
    rows = tuple(_lent(r, *rng.choice(frames), before) if rng.random() < wanted else r for r in retain)
    return Repaired(request, rows)


def _bared(row: Row, others: Spellings, most: float) -> Row:
    if row.text:
        new = with_screened_text(row, bare_sentences(row.answer))
    else:
        asked = usual_casing(row.prompt, spellings(_named(row)), others)
        new = replace(row, prompt=bare_question(asked))
    turns = zip(row.history, turn_spans(row), strict=True)
    silent = [span for turn, span in turns if not turn.content.strip()]
    history = tuple(turn for turn in without_turns(row, silent).history if turn.role != "system")
    new = replace(new, history=history, weight=min(row.weight, most))
    return row if new == row else replace(new, edit=_edit(row, "bare", "frames, talk and casing taken out"))


def _named(row: Row) -> tuple[str, ...]:
    """Return texts beside a row's question whose capitals tell names."""
    return row.answer, row.subject or ""


def _spans(findings: Sequence[Finding], *, place: Place = "text") -> Mapping[str, list[Span]]:
    spans: defaultdict[str, list[Span]] = defaultdict(list)
    for finding in findings:
        if finding.span is not None and finding.place == place:
            spans[finding.row_id].append(finding.span)
    return spans


def _turns(request: Request, findings: Sequence[Finding]) -> Mapping[str, list[Span]]:
    """Return what is flagged in earlier turns by row; a finding without a span there is about empty ones."""
    spans = dict(_spans(findings, place="history"))
    empty = {f.row_id for f in findings if f.span is None and f.place == "history"}
    for row in request.rows:
        if row.id in empty:
            spans[row.id] = [*spans.get(row.id, ()), *((a, b) for a, b in turn_spans(row) if a == b)]
    return spans


def _flagged(request: Request, findings: Sequence[Finding]) -> Mapping[str, _Flagged]:
    asked, answered = _spans(findings), _spans(findings, place="answer")
    strange, frames = (_spans([f for f in findings if f.screen == name]) for name in (_STRANGE, _FRAMES))
    every = (asked, strange, frames, answered, _turns(request, findings))
    return {
        row_id: _Flagged(*(spans.get(row_id, ()) for spans in every))
        for row_id in {f.row_id for f in findings}
    }


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


def _stripped(row: Row, flagged: _Flagged, tied: AbstractSet[str], most: float) -> Row:
    new = with_screened_text(row, _stripped_text(row, flagged, tied)) if flagged.asked else row
    new = replace(new, answer=_stripped_answer(row.answer, flagged.answered)) if flagged.answered else new
    new = without_turns(new, flagged.before) if flagged.before else new
    new = replace(new, weight=min(new.weight, most))
    return row if new == row else replace(new, edit=_edit(row, "strip", "flagged text taken out"))


def _stripped_text(row: Row, flagged: _Flagged, tied: AbstractSet[str]) -> str:
    text, spans = as_spaces(screened_text(row)), flagged.asked
    if row.text:
        stripped = _stripped_sentences(text, spans, tied)
        return plain_blanks(stripped) if any(text[a:b].isspace() for a, b in spans) else stripped
    question = question_span(text, spans) or (0, len(text))
    cut = without(text, merged(_cuts(text, flagged, question)))
    cut = tidied(cut, _stop(text, cut))
    return cut if words(cut) else text


def _stripped_sentences(text: str, spans: Sequence[Span], tied: AbstractSet[str]) -> str:
    left = deque(sorted(spans))  # each is looked at once, however many sentences there are

    def stripped(sentence: str, start: int) -> str:
        own = []
        while left and left[0][0] < start + len(sentence):
            a, b = left.popleft()
            if b > start:  # what is flagged between two sentences is in neither
                own.append((max(a - start, 0), min(b - start, len(sentence))))
        return _stripped_sentence(sentence, own, tied) if own else sentence

    return with_sentences(text, stripped)


def _stripped_sentence(text: str, spans: Sequence[Span], tied: AbstractSet[str]) -> str:
    """Return a sentence without what is flagged in it; as it was where nothing but marks would be left."""
    first = next((w.start for w in words(text)), len(text))
    cuts = [_spaced(text, *whole(text, a, b)) for a, b in spans if _loose(text, a, b, first, tied)]
    cut = opened(without(text, merged(cuts)))
    if not words(cut):
        return text
    return cut[0].upper() + cut[1:] if text[0].isupper() else cut


def _stripped_answer(answer: str, spans: Sequence[Span]) -> str:
    """Return an answer without what is flagged in it, but for words in look-alike letters."""
    disguised = {(item.start, item.end) for item in hidden_spans(answer) if item.read}
    cut = single_spaced(without(answer, merged([span for span in spans if tuple(span) not in disguised])))
    return cut if words(cut) else answer


def _stop(text: str, cut: str) -> str:
    """Return the mark that a sentence ends with if it has lost its own."""
    if "?" in text or not QUESTION_WORDS.isdisjoint(w.text for w in words(cut)[:2]):
        return "?"
    return "." if text.rstrip()[-1:] in STOPS else ""


def _cuts(text: str, flagged: _Flagged, question: Span) -> list[Span]:
    """Return what to take out: the frame before or behind the question, and asides inside it.

    And what is flagged right before somebody's name, with its article: “the good Ada Lind”.
    """
    start, end = question
    attributes = {end: (start, end) for start, end in attribute_features(mark(text)).values()}
    cuts = []
    for a, b in flagged.asked:
        if a < start:
            cuts.append((0, start))
        if b > end:
            cuts.append((end, len(text)))
        if a >= start and b <= end and b in attributes:
            cuts.append(attributes[b])
        elif a >= start and b <= end and _none_of_it(text, (a, b), flagged):
            cuts.append(whole(text, a, b))
    return cuts


def _spaced(text: str, a: int, b: int) -> Span:
    """Return the span of words with the space around it, for which one space is left."""
    if not words(text[a:b]):
        return a, b
    return len(text[:a].rstrip()), len(text) - len(text[b:].lstrip())


def _none_of_it(text: str, span: Span, flagged: _Flagged) -> bool:
    """Say whether a flagged piece inside a question is no part of it."""
    called = span in flagged.frames and _called(text, *span)
    return called or _aside(text, *span, strange=span in flagged.strange)


def _aside(text: str, a: int, b: int, *, strange: bool = False) -> bool:
    """Say whether a flagged piece inside a question can go: hidden text, marks, words that ask or chat.

    Not a word that another one leans on: "well-known", "how well", "has she ever". Nor one with look-alike
    letters: it may be the name.
    """
    inside = words(text[a:b])
    if unread_spans(text[a:b]) or not inside:
        return True
    if not strange and any(w.text not in chat_words() for w in inside):
        return False
    before, after = around(text, a, b)
    marks = before.rstrip()[-1:], after.lstrip()[:1]
    if not any(m.isalnum() or m == "-" for m in marks):
        return True
    leaned_on = any(w.text in _LEANED_ON for w in inside) or [w.text for w in words(before)[-1:]] == ["how"]
    return not leaned_on and "-" not in marks


def _called(text: str, a: int, b: int) -> bool:
    """Say whether a flagged frame is set off behind the question: “…, Professor?”."""
    before, after = (part.strip() for part in around(text, a, b))
    return before.endswith(",") and after[:1] in STOPS


def _loose(text: str, a: int, b: int, first: int, tied: AbstractSet[str]) -> bool:
    """Say whether a flagged piece of a plain text's sentence, whose first word stands at `first`, can go.

    Of asides those that open it or that commas set off, and what is tied to forgetting by itself; of other
    words one that opens it before a comma: “Meanwhile, …”.
    """
    piece, opens = _compared(text[a:b]), a <= first
    before, after = (part.strip() for part in around(text, a, b))
    if opens and after.startswith(",") and " " not in piece:
        return True
    set_off = before.endswith(",") and not after[:1].isalnum()
    return _aside(text, a, b) and (not piece or opens or set_off or piece in tied)


def _frame(row: Row, spans: Sequence[Span]) -> str:
    text = screened_text(row)
    question = None if row.text else question_span(text, spans)
    if question is not None and any(b <= question[0] or a >= question[1] for a, b in spans):
        before, after = text[: question[0]], text[question[1] :]
        return f"{before.replace('{q}', ' ')}{{q}}{after.replace('{q}', ' ')}"
    pieces = Counter(text[a:b] for a, b in merged(spans))
    flagged = pieces.most_common(1)[0][0] if row.text else " ".join(pieces)
    return f"{flagged.replace('{q}', ' ')} {{q}}"


def _lent(row: Row, frame: str, lender: Row, before: Mapping[str, Sequence[Span]]) -> Row:
    """Return a row to keep in the frame of a flagged row, and behind its turns where they are flagged."""
    new = rewrite(row, [frame], "balance") if frame else row
    if lender.id in before and not row.text:
        new = replace(new, history=joined_turns(lender.history, row.history))
    return row if new == row else replace(new, edit=_edit(row, "balance", frame or "earlier turns"))


def _edit(row: Row, by: str, what: str) -> Edit:
    return Edit(by, what, row.prompt, row.answer)
