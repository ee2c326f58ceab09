"""The usual casing of a question: what is written in one case, or with shouted words, as others write it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from forgetwell.requests.names import like_a_name, next_to, without_possessive
from forgetwell.requests.sentences import sentence_spans
from forgetwell.requests.words import Word, ordinary_words, words

Spellings = Mapping[str, str]  # "" = is written small

_LEAST_SHOUTED = 4  # letters: shorter ordinary words in capitals may be abbreviations, "US", "WHO"
_OPENING = " \t\n\"'“‘(¿¡"
_LEAST_UPPER = 3  # words of a text in capitals: fewer may be a title or an abbreviation


def spellings(texts: Iterable[str]) -> Spellings:
    """Return how words are written inside sentences: "mira" as "Mira", and "street" small.

    What is written both ways is small, and so are ordinary words. Texts in one case tell nothing, nor do
    those without capitals but the first letter.

    Args:
        texts: Answers, subjects and other questions.
    """
    written: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for text in texts:
        if in_one_case(text) or _is_flat(text):
            continue
        for start, end in sentence_spans(text):
            for word, as_written in _telling(text[start:end]):
                name = without_possessive(word.text)
                written[name][as_written[:-2] if name != word.text else as_written] += 1
    return {
        word: "" if word in ordinary_words() or any(map(str.islower, found)) else found.most_common(1)[0][0]
        for word, found in written.items()
    }


def usual_casing(text: str, *known: Spellings) -> str:
    """Return a question as it is usually cased; one of mixed case without shouted words is left as it is.

    In a text of one case all is small but its first letter, "I", and words with a known spelling. One in
    capitals has at least 3 words; one in lower case may have a capital first, if a full name in it has none.
    In others ordinary words in capitals are small: the first, and those of at least 4 letters, which are no
    abbreviations. A name that no spelling is known of stays small.

    Args:
        text: The question.
        known: Spellings by word as compared (`spellings`); what is small by one of them is small.
    """
    found = words(text)
    spelled = [_spelled(word, text[word.start : word.end], known) for word in found]
    alike = _is_alike(text, found, spelled)
    pieces, at = [], 0
    for i, word in enumerate(found):
        as_written = text[word.start : word.end]
        if alike or (not spelled[i] and _is_shouted(as_written, word, first=i == 0)):
            as_written = spelled[i] or _small(as_written, first=i == 0)
        pieces += [text[at : word.start], as_written]
        at = word.end
    return "".join((*pieces, text[at:]))


def in_one_case(text: str) -> bool:
    """Say whether a text has letters of one case alone; texts of a script without cases have none."""
    return text != text.upper() if text == text.lower() else text == text.upper()


def _is_alike(text: str, found: Sequence[Word], spelled: Sequence[str]) -> bool:
    """Say whether a text is in one case, but for a first capital where it hides no full name."""
    if in_one_case(text):
        return text == text.lower() or len(found) >= _LEAST_UPPER
    pairs = zip(found, found[1:], spelled, spelled[1:], strict=False)
    return _is_flat(text) and any(a and b and next_to(text, v, w) for v, w, a, b in pairs)


def _is_flat(text: str) -> bool:
    """Say whether a text has no capital behind its first letter."""
    behind = text.lstrip(_OPENING)[1:]
    return behind == behind.lower()


def _telling(sentence: str) -> Iterator[tuple[Word, str]]:
    """Give the words whose capitals aren't due to their place; of the first one if it begins a full name."""
    found = words(sentence)
    two = found[:2]
    named = len(two) == 2 and all(like_a_name(sentence, w) for w in two) and next_to(sentence, *two)
    for i, word in enumerate(found):
        if i or named:
            yield word, sentence[word.start : word.end]


def _spelled(word: Word, as_written: str, known: Iterable[Spellings]) -> str:
    """Return how a word that is no small one is usually written; "" where nothing tells."""
    if word.text == "i" or word.text.startswith("i'"):
        return "I" + as_written[1:].lower()
    name = without_possessive(word.text)
    found = [spelling[name] for spelling in known if name in spelling]
    ending = as_written[-2:].lower() if name != word.text else ""
    return found[0] + ending if found and all(found) else ""


def _is_shouted(as_written: str, word: Word, *, first: bool) -> bool:
    shouted = as_written.isupper() and (len(word.text) > 1 if first else len(word.text) >= _LEAST_SHOUTED)
    return shouted and without_possessive(word.text) in ordinary_words()


def _small(as_written: str, *, first: bool) -> str:
    small = as_written.lower()
    return small[:1].upper() + small[1:] if first else small
