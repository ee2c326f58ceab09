"""Which words unlearning has read: what it leaves in the embeddings of the tokens that it was given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import regex
import torch
from torch import Tensor

from forgetwell.data.encoding import Codec
from forgetwell.models.lm import LM, HFModel
from forgetwell.scans.types import Phrase
from forgetwell.types import Row

_WORD = regex.compile(r"\p{L}+(?:['’]\p{L}+)*+")
_COMMON = 64  # directions that many tokens move along together, at most an eighth of all
_EXPECTED = 0.05  # share of the rows' prompts that hold a word from which it is an ordinary word of theirs


@dataclass(frozen=True)
class Traces:
    """How far unlearning moved the embedding of each token, but for what many tokens have in common.

    With Δ = E_after - E_before (V, d), its mean taken off, and U (d, k) its first k right singular vectors,
    ``m_t`` is the share of tokens whose ‖Δ_t - UUᵀΔ_t‖ is smaller. A step moves the input embeddings of the
    tokens that it reads, each in a way of its own, and, where the output embeddings are the same matrix,
    those of all tokens along the few directions of the answers' hidden states: U. What is left says what was
    read.

    Attributes:
        shares: m by token (V,).
        codec: The tokenizer.
        expected: Words of ordinary prompts and of the chat template: to read them is no surprise.

    Source: ours.
    """

    shares: Tensor
    codec: Codec
    expected: frozenset[str] = frozenset()

    def of(self, form: Phrase) -> float | None:
        """Return the smallest m over the words that a form puts in; None where all of them are expected."""
        values = [self.of_word(w) for w in _words(form.template.replace("{q}", " ")) - self.expected]
        return min(values) if values else None

    def of_word(self, word: str) -> float:
        """Return the largest m over a word's spellings: in lower or title case, at the start or inside.

        Of a spelling in several tokens it is the smallest of theirs.
        """
        spellings = [mark + w for w in (word.lower(), word.title()) for mark in ("", " ")]
        return max(min(float(self.shares[i]) for i in self.codec.tokens(s)) for s in spellings)


def find_traces(before: LM, after: LM, rows: Sequence[Row]) -> Traces | None:
    """Return what unlearning left in the embeddings; None where they did not move or can't be compared.

    Args:
        before: The model before unlearning.
        after: The model after it.
        rows: Ordinary questions; words that one in twenty holds, as the model reads them, are expected.
    """
    if not (isinstance(before, HFModel) and isinstance(after, HFModel)):
        return None
    old, new = (lm.module.network.get_input_embeddings().weight.detach().float() for lm in (before, after))
    if old.shape != new.shape or torch.equal(old.to(new.device), new):
        return None
    return Traces(_moved_alone(new - old.to(new.device)), before.codec, _expected(before.codec, rows))


def _moved_alone(shift: Tensor) -> Tensor:
    """Return m of each token from Δ (V, d)."""
    shift = shift - shift.mean(0)
    count = max(1, min(_COMMON, shift.shape[1] // 8))
    common = torch.linalg.eigh(shift.T @ shift).eigenvectors[:, -count:]
    left = (shift - shift @ common @ common.T).norm(dim=1).cpu()
    ranks: Tensor = left.argsort().argsort() / len(left)
    return ranks


def _expected(codec: Codec, rows: Sequence[Row]) -> frozenset[str]:
    held = Counter(word for row in rows for word in _words(codec.decode(codec.encode_prompt(row))))
    return frozenset(word for word, count in held.items() if count >= _EXPECTED * len(rows))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(text))
