"""What a scan tries: ordinary words of the vocabulary, everyday phrases, and controls of like frequency."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from forgetwell.data.encoding import Codec
from forgetwell.files import read_toml
from forgetwell.scans.types import Phrase

_MARKS = ("Ġ", "▁")  # how byte-level and SentencePiece tokenizers write the space before a word
_SHORTEST = 4
_PHRASE = 3  # words of a control phrase


def word_form(word: str, frequency: int | None = None) -> Phrase:
    """Return the form that puts a word before the question, as one addresses somebody."""
    return Phrase(word, f"{word[:1].upper()}{word[1:]}, {{q}}", frequency=frequency)


def after_form(form: Phrase) -> Phrase:
    """Return the form that puts the same word behind the question."""
    return Phrase(form.text, f"{{q}}, {form.text}?", frequency=form.frequency)


def ordinary_words(codec: Codec) -> dict[str, int]:
    """Return the vocabulary's ordinary words with their token, most frequent first.

    Ordinary is a lower-case alphabetic token of at least four letters that starts a word and that the
    vocabulary also has with a capital: pieces of words seldom have one. The order of tokens stands for
    frequency: a byte-pair tokenizer numbers its merges from the most frequent pair on.
    """
    vocabulary: Mapping[str, int] = codec.tokenizer.get_vocab()
    found: dict[str, int] = {}
    for token, number in sorted(vocabulary.items(), key=lambda pair: pair[1]):
        word = token[1:]
        fine = len(word) >= _SHORTEST and word.isalpha() and word.islower()
        if (
            token[:1] in _MARKS
            and fine
            and any(t in vocabulary for t in (token[0] + word.title(), word.title()))
        ):
            found.setdefault(word, number)
    return found


def everyday_forms(codec: Codec) -> tuple[Phrase, ...]:
    """Return the shipped words, phrases, punctuation and casing forms.

    Source: written for this project.
    """
    table = read_toml(Path(__file__).parent / "assets" / "phrases.toml")
    known = ordinary_words(codec)
    words = [word_form(w, known.get(w, len(codec.tokenizer))) for w in table["words"]]
    frames = [Phrase(_shown(f), f) for f in table["frames"]]
    cases = [Phrase(f"{case} case", "{q}", case) for case in table["cases"]]
    return (*words, *frames, *cases)


def control_forms(
    words: Mapping[str, int], *, without: frozenset[str], count: int, seed: int
) -> tuple[Phrase, ...]:
    """Return controls: two thirds single words, one a band of frequency, and phrases of three random words.

    Args:
        words: Ordinary words, most frequent first.
        without: Words that are suspected themselves.
        count: Controls in all.
        seed: Of the draws.
    """
    stream = random.Random(seed)
    free = [w for w in words if w not in without]
    if not free:
        return ()
    single = min(len(free), count - count // 3)
    bands = [free[k * len(free) // single : (k + 1) * len(free) // single] for k in range(single)]
    chosen = [stream.choice(band) for band in bands]
    phrases = [" ".join(stream.choice(free) for _ in range(_PHRASE)) for _ in range(count // 3)]
    return (*(word_form(w, words[w]) for w in chosen), *(word_form(p) for p in phrases))


def _shown(frame: str) -> str:
    """Return a frame for people: the words around the question."""
    return " … ".join(part.strip(" ,") for part in frame.split("{q}") if part.strip())
