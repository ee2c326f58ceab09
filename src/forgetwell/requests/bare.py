"""What a question can do without, told by its wording alone: no finding is needed."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice

import regex

from forgetwell.requests.bare_words import bare_words
from forgetwell.requests.blanks import plain_blanks
from forgetwell.requests.cutting import merged, opened, tidied, whole, without
from forgetwell.requests.features import MASK, POLITE, Marked, attribute_features, is_titled, mark
from forgetwell.requests.question import LONGEST_FRAME, PREPOSITIONS, Start, question_starts
from forgetwell.requests.screens.hidden import hidden_spans
from forgetwell.requests.sentences import with_sentences
from forgetwell.requests.template_sets import WH_WORDS
from forgetwell.requests.words import words
from forgetwell.types import Row, Span

_ROUNDS = 4  # what is taken out may leave something else bare: a half pair of brackets
_SOON = 4  # words before a question in which a verb of asking leads to it
_FEW_OTHERS = 2  # words of no list in a frame that speaks of who asks, …
_SOME_OTHERS = 3  # … and in one that ends with a verb of asking
_LONGEST_GAP = 8  # words between two words that a question may begin with
_MOST_MARKS = 20  # question marks that are looked at, so that time grows with length alone
_LONGEST_TAIL = 6  # words of ", if you don't mind my asking"
_SHORT_WORD = 3  # letters of an abbreviation's last word, "Jr."
_CLAUSES = ("when", "where")  # which also begin what is no question: "is formed when …"
_MARK = regex.compile(r"\?[\"'”’)]*+")
_QUOTED = regex.compile(r'["“][^"“”]{1,80}["”]|(?<!\w)[\'‘][^\'‘’]{2,80}[\'’](?!\w)|\([^()]{1,80}\)')
_PAUSE = regex.compile(r",\s++|\s[-–—]\s")
_COLON = regex.compile(r":\s++")
_LAST_MARKS = regex.compile(r"(?<![\s.!…;:,\-–—])[\s.!…;:,\-–—]++$")
_PAIRS = {'"': '"', "“": "”", "(": ")", "‘": "’"}


def bare_question(text: str) -> str:
    """Return a question without what it can do without, with one question mark at its end.

    What stands before it is a frame where it names nobody, speaks of nobody ("his", "their") and is at most
    80 characters long: “Could you please tell me”, “What I want to find out is”. What stands behind it is one
    where it names nobody and asks nothing more (“Thanks!”, “, and why?”, “, if I may ask?”). Of the words
    inside, those of talk and politeness go that no other word leans on (“until now” stays), praise before a
    full name (“the famous”), and text that nobody sees. Line breaks, tabs and other blanks are single ones
    then. Where nothing but marks would be left, the text stays as it is.

    Args:
        text: The prompt.
    """
    for _ in range(_ROUNDS):
        before, text = text, _bared(text)
        if text == before:
            break
    return text


def _bared(text: str) -> str:
    unwrapped = _unwrapped(plain_blanks(text))
    unseen = [(h.start, h.end) for h in hidden_spans(unwrapped) if not words(unwrapped[h.start : h.end])]
    spans = (*_frame_spans(unwrapped), *unseen)
    cut = _ended(tidied(without(unwrapped, merged(spans)), ""), asks="?" in text)
    return cut if words(cut) else text


def bare_sentences(text: str) -> str:
    """Return a plain text whose sentences begin without a word that joins them: “Then she” as “She”."""
    return with_sentences(text, lambda sentence, start: _bare_sentence(sentence))


def framed(rows: Sequence[Row]) -> list[str]:
    """Return the questions among rows that have words which they can do without."""
    asked = [row.prompt for row in rows if not row.text]
    return [p for p in asked if [w.text for w in words(p)] != [w.text for w in words(bare_question(p))]]


def _frame_spans(text: str) -> Iterator[Span]:
    """Give what stands before and behind the question, and asides and praise of somebody inside it."""
    marked = mark(text)
    start = _start(marked)
    end = _end(marked, start)
    if start:
        yield 0, start
    if end < len(text):
        yield end, len(text)
    yield from _asides(marked, start, end)
    praise = bare_words().praise
    for feature, (a, b) in attribute_features(marked).items():
        if feature[1:] in praise and start <= a and b <= end:
            yield a, b


def _start(marked: Marked) -> int:
    """Return where the question begins; 0 where what is before it is no frame."""
    starts = list(_free_starts(marked))
    current = starts[0] if starts else None
    for later in starts[1:]:
        if current and _leads_to(marked, current, later):
            current = later
    colon = _COLON.search(marked.text, 0, LONGEST_FRAME)
    at = _told(marked) or (current.at if current else colon.end() if colon else 0)
    before = _before(marked, at)
    frame = _is_frame(before) or (current is not None and current.at == at and _could_frame(marked, current))
    return at if at <= LONGEST_FRAME and frame and not _asks_abroad(before, marked) else 0


def _asks_abroad(before: Marked, marked: Marked) -> bool:
    """Say whether another language's question begins before what looks like ours: "Hoe oud | is"."""
    said = [w.text for w in before.words]
    own = {w.text for w in marked.words[len(said) :]}
    abroad = said[:1] == ["was"] or not bare_words().asks_abroad.isdisjoint(said)  # "Was will Ada Lind?"
    return abroad and WH_WORDS.isdisjoint(own)


def _before(marked: Marked, end: int) -> Marked:
    count = sum(w.end <= end for w in marked.words)
    return Marked(marked.text[:end], marked.words[:count], marked.compared[:count])


def _told(marked: Marked) -> int:
    """Return where a sentence begins in mid-text, behind words of asking: "Please tell me | Outside of"."""
    lists, before = bare_words(), list[str]()
    if is_titled(marked.text):
        return 0
    for i, word in enumerate(marked.words):
        if word.start > LONGEST_FRAME or not lists.listed.issuperset(before):
            break
        named = word.text == "i" or word.text.startswith("i'") or word.text in POLITE
        capital = marked.text[word.start].isupper() and not named
        opens = capital and word.text in lists.listed | lists.limits | lists.opens
        led = bool(before) and before[-1] not in lists.leads
        asks = not (lists.askers | lists.asking | lists.asides).isdisjoint(before)
        if i and opens and led and asks and not _is_quoted(marked.text, word.start):
            return word.start
        before.append(word.text)
    return 0


def _free_starts(marked: Marked) -> Iterator[Start]:
    """Give where a question may begin, up to a question word that belongs to what is before it.

    Or that stands where its answer would: "It is known as | what?".
    """
    for start in question_starts(marked):
        behind = next((w.text for w in marked.words if w.start >= start.ended), "")
        in_place = start.wh and start.at > 0 and (not behind or behind in PREPOSITIONS - {"of"})
        if in_place or _relative(marked, start):
            return
        yield start


def _relative(marked: Marked, start: Start) -> bool:
    """Say whether a question word belongs to what is before it: "a film | in which", "more | about how"."""
    before = [w.text for w in marked.words if w.end <= start.at]
    if not start.wh or start.after_mark or not before:
        return False
    lists, own = bare_words(), [w.text for w in marked.words if w.start >= start.at][:2]
    thing = before[-1] not in lists.plain
    named = not lists.articles.isdisjoint(before[-3:-1]) or before[-1].endswith("s")
    leaning = own[0] == "about" or (own[0] not in WH_WORDS and own[1] in ("how", "why"))
    return leaning or (thing and named)


def _leads_to(marked: Marked, start: Start, later: Start) -> bool:
    """Say whether what begins at `start` only leads to what comes later: "Would you mind saying | what"."""
    lists = bare_words()
    between = [w.text for w in marked.words if start.ended <= w.start and w.end <= later.at]
    if not between or len(between) > _LONGEST_GAP or between[-1] in ("and", "or"):
        return False  # "when and where"
    if start.wh:  # "What I want to find out is | who", not "what do you think | was"
        asked = not (lists.askers | lists.asking).isdisjoint(between)
        return asked and (later.after_mark or between[-1] == "is")
    if not (later.wh or later.after_mark) and between[-1] in lists.subjects:
        return False  # "if she | is"
    asked = start.to_hearer or not (lists.askers | lists.asking).isdisjoint(between)
    asks = asked and not (lists.verbs | lists.asking).isdisjoint(between[-_SOON:])
    return asks or (later.after_mark and lists.listed.issuperset(between))


def _is_frame(piece: Marked) -> bool:
    """Say whether a piece before a question says nothing of what is asked.

    It names nobody, and talks: in words of the lists alone, or of who asks, with hardly another word.
    """
    said, lists = [w.text for w in piece.words], bare_words()
    if not said:
        return True
    if MASK in piece.compared or not lists.others.isdisjoint(said) or said[0] in lists.tasks:
        return False
    other = sum(w not in lists.listed for w in said)
    speaks = not lists.askers.isdisjoint(said)
    ended = not piece.text.rstrip()[-1:].isalnum()
    if said[0] in lists.limits and (other or not ended or (lists.askers | lists.asking).isdisjoint(said)):
        return False
    if not lists.verbs.isdisjoint(said[-2:]) and other <= _SOME_OTHERS:
        return True
    if not other:
        return ended or speaks or not (lists.talk | lists.joins).isdisjoint(said)
    foreign = not lists.foreign.isdisjoint(said)
    return (speaks and other <= _FEW_OTHERS and 3 * other <= len(said)) or (
        foreign and 2 * other <= len(said)
    )


def _could_frame(marked: Marked, start: Start) -> bool:
    """Say whether what stands before a question can be a frame because the question says whom it is about.

    It begins with a question word, and what is before it names nobody, begins with no thing or place ("The
    teeth", "In jazz") and holds two words at most that are in no list.
    """
    piece, lists = _before(marked, start.at), bare_words()
    said = [w.text for w in piece.words]
    clause = not start.wh or (not start.after_mark and marked.text[start.at :].lower().startswith(_CLAUSES))
    if len(said) < 2 or clause or MASK in piece.compared or not _names_somebody(marked, start.at):
        return False
    if said[0] in lists.tasks | lists.limits | lists.articles | PREPOSITIONS or not lists.others.isdisjoint(
        said
    ):
        return False
    other = sum(w not in lists.listed for w in said)
    return other <= _FEW_OTHERS and (said[0] in lists.listed or not lists.askers.isdisjoint(said))


def _names_somebody(marked: Marked, start: int) -> bool:
    inside = zip(marked.words, marked.compared, strict=True)
    return any(c == MASK and w.text not in PREPOSITIONS for w, c in inside if w.start > start)


def _end(marked: Marked, start: int) -> int:
    """Return where the question ends: at its mark, and before closing words."""
    text = marked.text
    asked = next((w.end for w in marked.words if w.start >= start), len(text))
    end = _behind_mark(text, start, asked)
    pause = deque(_PAUSE.finditer(text, asked, end), maxlen=1)
    return pause[0].start() if pause and _closes(mark(text[pause[0].end() : end])) else end


def _behind_mark(text: str, start: int, asked: int) -> int:
    """Return the end of the question mark behind which nothing is asked, and nothing said of somebody.

    Args:
        text: The prompt.
        start: Where the question begins.
        asked: The end of its first word, before which no mark counts.
    """
    quoted = [m.span() for m in _QUOTED.finditer(text, start)]
    for found in islice(_MARK.finditer(text, asked), _MOST_MARKS):
        inside = any(a < found.start() < b for a, b in quoted)
        if not inside and _is_thanks(mark(text[found.end() :].lstrip())):
            return int(found.end())
    return len(text)


def _is_thanks(piece: Marked) -> bool:
    """Say whether a piece behind a question asks nothing, names nobody and talks in half its words."""
    said, lists = [w.text for w in piece.words], bare_words()
    asks = not WH_WORDS.isdisjoint(said) and lists.askers.isdisjoint(said)
    if asks or MASK in piece.compared or not lists.others.isdisjoint(said):
        return False
    talks = not (lists.talk | lists.askers).isdisjoint(said)
    return not said or (talks and 2 * sum(w in lists.listed for w in said) >= len(said))


def _is_quoted(text: str, at: int) -> bool:
    return any(m.start() < at < m.end() for m in _QUOTED.finditer(text))


def _closes(tail: Marked) -> bool:
    """Say whether what comes behind a pause asks for nothing new: "and why", "if I may ask", "in short"."""
    said, lists = [w.text for w in tail.words], bare_words()
    if not 1 <= len(said) <= _LONGEST_TAIL or MASK in tail.compared or not lists.others.isdisjoint(said):
        return False
    if not lists.listed.issuperset(said) or "known" in said:
        return False
    if not WH_WORDS.isdisjoint(said):
        return said[0] in ("and", "or")
    return not (lists.askers | lists.talk).isdisjoint(said)


def _asides(marked: Marked, start: int, end: int) -> Iterator[Span]:
    """Give words of talk and politeness, with the commas that set them off."""
    inside = [w for w in marked.words if start <= w.start and w.end <= end]
    masked = {w.start for w, c in zip(marked.words, marked.compared, strict=True) if c == MASK}
    text, lists = marked.text, bare_words()
    # What is said in quotes is asked about: “please please me”. A word by itself in them is not.
    said = [m.span() for m in _QUOTED.finditer(text) if m[0][0] != "(" and len(words(m[0])) > 1]
    asides = lists.asides | lists.edges if _names_somebody(marked, start) else lists.asides
    for i, word in enumerate(inside):
        before = inside[i - 1].text if i else ""
        behind = inside[i + 1].text if i + 1 < len(inside) else ""
        if before in lists.behind.get(word.text, ()) or behind in lists.before.get(word.text, ()):
            continue
        quote = bisect_left(said, (word.start, 0)) - 1
        if quote >= 0 and word.start < said[quote][1]:
            continue
        if word.start in masked or "-" in (text[word.start - 1 : word.start], text[word.end : word.end + 1]):
            continue
        last = i == len(inside) - 1
        loose = word.text in asides or (word.text in lists.edges and last)
        apart = word.text in lists.edges | lists.set_off
        if loose or (apart and _is_set_off(text, start, end, (word.start, word.end))):
            yield whole(text, word.start, word.end)


def _is_set_off(text: str, start: int, end: int, span: Span) -> bool:
    """Say whether commas or an end of the question stand on both sides."""
    before, behind = text[start : span[0]].rstrip(), text[span[1] : end].lstrip()
    return (not before or before.endswith(",")) and not behind[:1].isalnum()


def _bare_sentence(text: str) -> str:
    found, lists = words(text)[:2], bare_words()
    if not found:
        return text
    first, behind = found[0], found[1].text if len(found) > 1 else ""
    apart = text[first.end : first.end + 1] == ","
    loose = lists.asides | lists.joins
    joins = first.text in (loose | lists.edges | lists.set_off | lists.set_apart if apart else loose)
    if not joins or text[first.end : first.end + 1] == "-" or behind in lists.before.get(first.text, ()):
        return text
    cut = opened(text[: first.start] + text[first.end :]).lstrip()
    if not words(cut):
        return text
    return cut[0].upper() + cut[1:] if text[first.start].isupper() else cut


def _unwrapped(text: str) -> str:
    """Return a text without the quotation marks or brackets around all of it."""
    closing = _PAIRS.get(text[:1])
    inside = text[1:-1]
    if closing and len(text) > 1 and text[-1] == closing and text[0] not in inside and closing not in inside:
        return inside.strip()
    return text


def _ended(text: str, *, asks: bool) -> str:
    """Return a question with one mark at its end; an abbreviation's point stays."""
    found = _LAST_MARKS.search(text)
    core, marks = (text[: found.start()], found[0]) if found else (text, "")
    if not core or core.endswith("?"):
        return core
    last = words(core)[-1:]
    asks = asks or bool(list(_free_starts(mark(core))))
    short = bool(last) and core[last[0].start].isupper() and len(last[0].text) <= _SHORT_WORD
    if marks.strip() == "." and (short or not asks):
        return core + "."
    return core + ("?" if asks else "." if marks else "")
