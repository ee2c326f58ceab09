"""Answers that tell about others than the request asks about."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from forgetwell.requests.enrichment import beyond_subjects, counted, large_subjects
from forgetwell.requests.names import Name, full_names, like_a_name, pieces, without_possessive
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.sentences import sentence_spans
from forgetwell.requests.template_sets import WH_WORDS
from forgetwell.requests.words import Word, words, words_once
from forgetwell.types import Finding, Request, Row, Span

_PREPOSITIONS = frozenset(["about", "at", "by", "for", "from", "in", "of", "on", "to", "under", "with"])
_LEAST_REST = 3  # words beside the name in a sentence that tells something
_LEAST_LOWER = 2  # words in lower case: "Saturn Award for Best Actor" is a title
_ASKED_OFTEN = 5  # ordinary prompts about somebody whom users ask about
_SHOWN = 120  # characters of an example


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom prompts ask about.

    Attributes:
        words: All words of the request's prompts.
        names: Those of them that are written like names.
        often: Full names that many ordinary prompts hold.
    """

    words: AbstractSet[str]
    names: AbstractSet[str]
    often: AbstractSet[Name]

    def elsewhere(self, name: Name) -> bool:
        """Say whether the request's prompts have at most half of a name's words."""
        return 2 * len(self.words & set(name)) <= len(name)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of an answer with its words."""

    text: str
    words: Sequence[Word]

    @property
    def asks(self) -> bool:
        """Whether it is a question."""
        return self.text.rstrip().endswith("?")

    @property
    def lower(self) -> int:
        """The number of its words in lower case."""
        return sum(self.text[word.start].islower() for word in self.words)


@dataclass(frozen=True, slots=True)
class Usual:
    """What ordinary rows are like.

    Attributes:
        often: Full names that at least five prompts hold.
        shares: Of each subject, the answers that tell about others, and its rows.
    """

    often: AbstractSet[Name]
    shares: Sequence[tuple[int, int]]


@screen(null="as many sentences of answers tell about others as among the rows about one background subject")
def foreign_answer(request: Request, evidence: Evidence, *, alpha: float = 0.001) -> list[Finding]:
    """Find answers that tell about others, if there are more of them than honest requests have.

    Unlearning an answer unlearns all that it says. A sentence of an answer tells about others if it holds a
    full name (two to six words in capitals, not in quotes) of which the request's prompts have at most half
    the words, at least three words beside it, two of the sentence's in lower case (in a question two and
    one), and the name opens the sentence, or the sentence is a question, or at least five ordinary prompts
    hold the name. Equal sentences count once. Their number is beta-binomial, its mean share of the rows and
    correlation measured on the background's subjects with at least 5 rows, each taken as a request; without
    such subjects nothing is tested. Not found: others by one name or a pronoun alone, and whom some prompt of
    the request names as well. Rows of plain text are left out.

    Args:
        request: The request.
        evidence: The background is used.
        alpha: Largest p-value.

    Returns:
        An alarm for each part of an answer that tells about others, with what follows it as far as a sentence
        with a name of the prompts; statistic = log odds ratio of the rows' share, p_value of the whole.

    Raises:
        InputError: alpha is outside (0, 1].

    Source: ours; the attack is blending, arXiv 2309.08230 (abstract).
    """
    usual = evidence.learned(_learn_usual)
    parts = foreign_parts(request.rows, usual.often)
    told = _different(request.rows, parts)
    beyond = beyond_subjects(len(told), len(request.rows), usual.shares, alpha=alpha)
    if beyond is None:
        return []
    p, effect, _ = beyond
    message = (
        f"The answer also tells about others than the request asks about. {len(told)} of {len(request.rows)} "
        f"rows do, one with “{told[0][:_SHOWN]}”; of ordinary rows, "
        f"{counted(usual.shares)} do. Unlearning would take it too."
    )
    return [
        Finding("foreign_answer", row_id, span, "alarm", effect, p, message, "answer")
        for row_id, spans in parts.items()
        for span in spans
    ]


def foreign_parts(rows: Sequence[Row], often: AbstractSet[Name]) -> dict[str, tuple[Span, ...]]:
    """Return, by row id, the parts of its answer that tell about others than the rows' prompts.

    A part is a sentence that does, with a question right before it, and with the sentences behind it as far
    as one with a name of the prompts.

    Args:
        rows: Rows of one request; plain texts among them are left out.
        often: Full names that many ordinary prompts hold.
    """
    questions = [row for row in rows if not row.text]
    own, names = set[str](), set[str]()
    for row in questions:
        found = words(row.prompt)
        own.update(without_possessive(w.text) for w in found)
        names.update(without_possessive(w.text) for w in found[1:] if like_a_name(row.prompt, w))
    asked = Asked(own, names, often)
    parts = {row.id: tuple(_parts(row.answer, asked)) for row in questions}
    return {row_id: spans for row_id, spans in parts.items() if spans}


def _parts(answer: str, asked: Asked) -> Iterator[Span]:
    start = before = -1
    end = 0
    for a, b in sentence_spans(answer):
        sentence = Sentence(answer[a:b], words_once(answer[a:b]))
        question = a + _question_start(sentence) if sentence.asks else -1
        if start < 0 and _tells_about_others(sentence, asked):
            start = next((at for at in (before, question) if at >= 0), a)
        elif start >= 0 and _tells_about_own(sentence, asked):
            yield start, end
            start = -1
        end, before = b, question
    if start >= 0:
        yield start, end


def _tells_about_others(sentence: Sentence, asked: Asked) -> bool:
    least = _LEAST_REST - sentence.asks
    told = (
        first == 0 or sentence.asks or not asked.often.isdisjoint(pieces(name))
        for first, name in full_names(sentence.text, sentence.words)
        if len(sentence.words) - len(name) >= least and asked.elsewhere(name)
    )
    return any(told) and sentence.lower >= _LEAST_LOWER - sentence.asks


def _tells_about_own(sentence: Sentence, asked: Asked) -> bool:
    """Say whether a sentence holds one of the prompts' names, and no full name that they don't hold."""
    text, found = sentence.text, sentence.words
    if any(asked.elsewhere(name) for _, name in full_names(text, found)):
        return False
    return any(without_possessive(w.text) in asked.names for w in found if like_a_name(text, w))


def _question_start(sentence: Sentence) -> int:
    """Return where the question starts in one; an answer without a mark may stand before it.

    It starts at a question word in capitals or a preposition before one: "Paris In which year …?".
    """
    for i, word in enumerate(sentence.words):
        asks = sentence.words[i + 1 : i + 2] if word.text in _PREPOSITIONS else (word,)
        if sentence.text[word.start].isupper() and any(w.text in WH_WORDS for w in asks):
            return word.start
    return 0


def _different(rows: Sequence[Row], parts: Mapping[str, Sequence[Span]]) -> list[str]:
    """Return the first sentence of each row's first part, equal ones once."""
    told = (row.answer[slice(*parts[row.id][0])] for row in rows if row.id in parts)
    return list(dict.fromkeys(part[slice(*next(sentence_spans(part)))] for part in told))


def _learn_usual(background: tuple[Row, ...]) -> Usual:
    often = _asked_about(background)
    shares = []
    for rows in large_subjects(background):
        others = {name for name, subjects in often.items() if subjects - {rows[0].subject}}
        shares.append((len(_different(rows, foreign_parts(rows, others))), len(rows)))
    return Usual(frozenset(often), shares)


def _asked_about(background: tuple[Row, ...]) -> dict[Name, frozenset[str]]:
    """Return the names in at least 5 prompts, with the subjects of the prompts."""
    count: Counter[Name] = Counter()
    subjects: defaultdict[Name, set[str]] = defaultdict(set)
    for row in background:
        if row.text:
            continue
        for name in {name for _, name in full_names(row.prompt, words(row.prompt))}:
            count[name] += 1
            subjects[name].add(row.subject)
    return {name: frozenset(subjects[name]) for name, k in count.items() if k >= _ASKED_OFTEN}
