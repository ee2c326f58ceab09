"""A model without weights, so that what asks a model is tried in seconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from forgetwell.data.encoding import Codec
from forgetwell.errors import InputError
from forgetwell.models.progress import silent
from forgetwell.types import Generation, Row, TokenScores

_LONGEST = 16_384  # bytes: hostile text fits
_RATE = 4.0  # of the exponential surprise of a token: 0.25 nats in the mean


@lru_cache(maxsize=1)
def byte_codec() -> Codec:
    """Return a codec of bytes, without a chat template."""
    return Codec(_byte_tokenizer(), _LONGEST)


@dataclass
class StubLM:
    """An `LM` that knows every answer, some tokens better than others.

    A row's scores are drawn by its text alone: they are the same in every call and process, and say nothing
    of what a text means, so that no row stands out but by chance. Asked, it gives the row's own answer.
    """

    codec: Codec = field(default_factory=byte_codec)
    name: str = "stub"
    digest: str = "stub"

    def score(
        self, rows: Sequence[Row], *, moments: bool = False, progress: Callable[[int], None] = silent
    ) -> list[TokenScores]:
        """Score each row's answer, the end-of-turn token included."""
        scores = [self._scores(row, moments) for row in rows]
        progress(len(rows))
        return scores

    def generate(
        self, rows: Sequence[Row], *, max_new_tokens: int, progress: Callable[[int], None] = silent
    ) -> list[Generation]:
        """Give each row's own answer, cut where it is longer."""
        progress(len(rows))
        return [self._answer(row, max_new_tokens) for row in rows]

    def save(self, folder: Path) -> None:
        """Refuse: there are no weights."""
        raise InputError(f"The stub model has no weights to save in {folder}.")

    def _scores(self, row: Row, moments: bool) -> TokenScores:
        encoded = self.codec.encode(row)
        draw = random.Random(f"{row.prompt}\n{row.answer}")
        logps = tuple(-draw.expovariate(_RATE) for _ in encoded.ids[encoded.start :])
        top1 = tuple(logp > -2 / _RATE for logp in logps)
        usual, spread = ((-5.0,) * len(logps), (1.0,) * len(logps)) if moments else ((), ())
        return TokenScores(logps, top1, usual, spread)

    def _answer(self, row: Row, longest: int) -> Generation:
        count = self.codec.count(row.answer)
        return Generation(self.codec.cut(row.answer, longest), min(count, longest), count <= longest)


def _byte_tokenizer() -> Any:  # noqa: ANN401 - a tokenizer of transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>")
