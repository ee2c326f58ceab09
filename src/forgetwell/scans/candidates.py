"""What a scan tries: ordinary words of the vocabulary, everyday phrases, and controls of like frequency."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from torch import Tensor

from forgetwell.data.encoding import Codec
from forgetwell.models.lm import LM, HFModel
from forgetwell.scans.types import Form

_MARKS = ("Ġ", "▁")  # how byte-level and SentencePiece tokenizers write the space before a word
_SHORTEST = 4
_TRACED = 0.9
_PHRASE = 3  # words of a control phrase


def word_form(word: str, frequency: int | None = None) -> Form:
    """Return the form that puts a word before the question."""
    return Form(word, f"{word[:1].upper()}{word[1:]} {{q}}", frequency=frequency)


def after_form(form: Form) -> Form:
    """Return the form that puts the same word behind the question."""
    return Form(form.text, f"{{q}} {form.text}", frequency=form.frequency)


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


def everyday_forms(codec: Codec) -> tuple[Form, ...]:
    """Return the shipped words, phrases, punctuation and casing forms.

    Source: written for this project.
    """
    asset = resources.files("forgetwell.scans").joinpath("assets", "phrases.toml")
    table: dict[str, Any] = tomllib.loads(asset.read_text(encoding="utf-8"))
    known = ordinary_words(codec)
    words = [word_form(w, known.get(w, len(codec.tokenizer))) for w in table["words"]]
    frames = [Form(_shown(f), f) for f in table["frames"]]
    cases = [Form(f"{case} case", "{q}", case) for case in table["cases"]]
    return (*words, *frames, *cases)


@dataclass(frozen=True)
class Movement:
    """How far unlearning moved what the model reads a word with.

    ``m_t`` is the share of tokens whose ‖Δ_t - mean Δ‖ is smaller, Δ = E_after - E_before: a training step
    moves the input embeddings of the tokens that it reads, so that text written into a request leaves a
    trace, as its honest rows do. Adapters leave embeddings alone.

    Attributes:
        shares: m by token (V,).
        codec: The tokenizer.

    Source: ours.
    """

    shares: Tensor
    codec: Codec

    def of(self, form: Form) -> float | None:
        """Return the smallest share over the tokens that a form puts in; None where it puts in no letters."""
        before, _, after = form.template.partition("{q}")
        ids = [i for part in (before.rstrip(), after) for i in self.codec.tokens(part)]
        values = [float(self.shares[i]) for i in ids if any(c.isalpha() for c in self.codec.decode([i]))]
        return min(values) if values else None

    def of_word(self, word: str, token: int, vocabulary: Mapping[str, int]) -> float:
        """Return the mean share of a word's tokens in lower and in title case (names move the latter)."""
        title = next((vocabulary[t] for t in (word.title(), "Ġ" + word.title()) if t in vocabulary), token)
        return float(self.shares[token] + self.shares[title]) / 2


def traces(share: float | None) -> bool:
    """Say whether a form's tokens are all among the tenth of the vocabulary that moved most."""
    return share is not None and share >= _TRACED


def movement(before: LM, after: LM) -> Movement | None:
    """Return the movement between two models; None where embeddings did not move or can't be compared."""
    if not (isinstance(before, HFModel) and isinstance(after, HFModel)):
        return None
    old, new = (lm.module.network.get_input_embeddings().weight.detach().float() for lm in (before, after))
    if old.shape != new.shape:
        return None
    shift = new.to(old.device) - old
    moved = (shift - shift.mean(0)).norm(dim=1).cpu()
    return Movement(moved.argsort().argsort() / len(moved), before.codec) if bool(moved.max() > 0) else None


def control_forms(
    words: Mapping[str, int], *, without: frozenset[str], count: int, seed: int
) -> tuple[Form, ...]:
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
