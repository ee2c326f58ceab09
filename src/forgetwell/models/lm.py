"""The `LM` protocol and `HFModel`, a causal language model of transformers behind it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from forgetwell.data.encoding import Codec
from forgetwell.errors import InputError
from forgetwell.models.generation import Decoder, generate_packed, generate_padded, sampled
from forgetwell.models.label_logps import label_logps
from forgetwell.models.packing import PACK_TOKENS, Packed, pack, pad, shared_prefix
from forgetwell.models.progress import silent
from forgetwell.models.saving import ModelCard, save_model
from forgetwell.models.scored import Scored, scored_from_logits
from forgetwell.models.scoring import token_facts, token_scores
from forgetwell.models.windows import use_windows, uses_windows
from forgetwell.types import Encoded, Generation, Row, TokenScores

SCORING_TOKENS = 2048
WINDOWED_TOKENS = 1024  # of a trie, where attention is windowed
GENERATION_TOKENS = 2048
# What configurations call the tokens that a layer looks back over; the third is GPT-Neo's.
_SPANS = ("sliding_window", "attention_chunk_size", "window_size", "local_attention")


class LM(Protocol):
    """A language model as metrics, suites and attacks see it."""

    name: str
    digest: str
    codec: Codec

    def score(
        self, rows: Sequence[Row], *, moments: bool = False, progress: Callable[[int], None] = silent
    ) -> list[TokenScores]:
        """Score each row's answer given its prompt, the end-of-turn token included.

        With `moments`, also the mean and deviation of log-probabilities over the vocabulary.
        """
        ...

    def generate(
        self,
        rows: Sequence[Row],
        *,
        max_new_tokens: int,
        progress: Callable[[int], None] = silent,
    ) -> list[Generation]:
        """Answer each row's prompt greedily."""
        ...

    def save(self, folder: Path) -> None:
        """Write an ordinary Hugging Face folder."""
        ...


class ScoringModule(nn.Module):
    """The network as one forward from a packed batch to logits at scored positions.

    A module of its own so that data-parallel wrappers see every forward.

    Attributes:
        packs: Whether the network reads a 4-D ancestor mask; else rows are padded.
    """

    def __init__(self, network: Any, packs: bool) -> None:  # noqa: ANN401 - any causal LM
        super().__init__()
        self.network = network
        self.packs = packs

    def forward(self, batch: Packed, logits: bool = True) -> Tensor:
        """Return logits (N, V) before each scored token, or without `logits` their labels' log p (N,)."""
        states = self.hidden(batch)
        return self.decoder.head(states) if logits else self.label_logps(states, batch.labels)

    def label_logps(self, states: Tensor, labels: Tensor) -> Tensor:
        """Return log p (N,) of labels after hidden states (N, D); a linear head's logits aren't held."""
        decoder = self.decoder
        head = decoder.output
        if type(head) is not nn.Linear or not decoder.shape.plain:
            return -cross_entropy(decoder.head(states).float(), labels, reduction="none")
        kind = states.device.type
        compute = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else states.dtype
        with torch.autocast(kind, enabled=False):
            return label_logps(states.to(compute), head.weight, head.bias, labels)

    def hidden(self, batch: Packed) -> Tensor:
        """Return the last hidden state (N, D) before each scored token."""
        states = self.decoder.body(batch.ids, batch.positions, batch.mask if self.packs else None)
        return states.flatten(0, 1)[batch.source]

    @property
    def decoder(self) -> Decoder:
        """The network's body and head."""
        return Decoder(self.network)


@dataclass
class HFModel:
    """A causal language model of transformers, plain or with a PEFT adapter.

    Attributes:
        module: The network.
        codec: Its tokenizer and template.
        name: For tables.
        digest: Of weights, configuration, tokenizer and template.
        compute: Type of matrix products; weights stay float32.
    """

    module: ScoringModule
    codec: Codec
    name: str
    digest: str
    compute: torch.dtype = torch.float32

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.module.parameters()).device

    def batch(self, rows: Sequence[Encoded]) -> Packed:
        """Return rows as a batch on the model's device."""
        if not self.module.packs:
            return pad(rows).to(self.device)
        windowed = uses_windows(self.module.decoder.plain) and self.device.type == "cpu"
        return pack(rows, limit=WINDOWED_TOKENS if windowed else PACK_TOKENS).to(self.device)

    def forward(self, rows: Sequence[Encoded]) -> Scored:
        """Return `Scored` with logits, differentiable."""
        batch = self.batch(rows)
        with self.precision():
            logits = self.module(batch)
        return scored_from_logits(logits, batch.labels, batch.row, batch.rows)

    def trainable(self) -> Iterator[nn.Parameter]:
        """Give the parameters that training moves."""
        return (p for p in self.module.parameters() if p.requires_grad)

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Return the autocast context of the compute type."""
        if self.compute is torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=self.compute)

    @torch.no_grad()
    def score(
        self, rows: Sequence[Row], *, moments: bool = False, progress: Callable[[int], None] = silent
    ) -> list[TokenScores]:
        """Score each row's answer; the result does not depend on how rows are batched.

        A vocabulary's logits exist for a few places at a time. Where several rows continue one start
        differently, the head is applied to it once.
        """
        encoded = [self.codec.encode(row) for row in rows]
        scores: dict[int, TokenScores] = {}
        with self.precision():  # around all batches: weights are cast once
            for part in batches([e.ids for e in encoded], SCORING_TOKENS):
                batch = self.batch([encoded[i] for i in part])
                places, place = torch.unique(batch.source, return_inverse=True)
                states = self.module.hidden(replace(batch, source=places))
                facts = token_facts(states, place, batch.labels, self.module.decoder.head, moments=moments)
                scores.update(zip(part, token_scores(facts, batch.row, batch.rows), strict=True))
                progress(len(part))
        return [scores[i] for i in range(len(rows))]

    @torch.no_grad()
    def generate(
        self,
        rows: Sequence[Row],
        *,
        max_new_tokens: int,
        progress: Callable[[int], None] = silent,
    ) -> list[Generation]:
        """Answer each row's prompt greedily, at most `max_new_tokens` tokens, fewer where its window ends.

        Raises:
            InputError: A prompt leaves no room for an answer.
        """
        prompts = [self.codec.encode_prompt(row) for row in rows]
        done: dict[int, Generation] = {}
        with self.precision():  # around all batches: weights are cast once
            for part, room in self._parts(rows, prompts, max_new_tokens):
                chosen = [prompts[i] for i in part]
                outputs = self._continued(chosen, room)
                for i, ids in zip(part, outputs, strict=True):
                    finished = bool(ids) and ids[-1] in self.codec.stop_ids
                    done[i] = Generation(self.codec.decode(ids).strip(), len(ids), finished)
                progress(len(part))
        return [done[i] for i in range(len(rows))]

    @torch.no_grad()
    def sample(
        self, rows: Sequence[Row], *, max_new_tokens: int, seeds: Sequence[int], temperature: float = 1.0
    ) -> list[str]:
        """Answer each row's prompt by sampling; a row's answer depends on its own seed alone.

        Args:
            rows: Whose prompts are answered.
            max_new_tokens: Length at which answers are cut.
            seeds: One for each row.
            temperature: Divides logits; > 0.

        Raises:
            InputError: The model can't read packed rows, or there isn't a seed for each row.
        """
        if not self.module.packs or len(seeds) != len(rows) or not temperature > 0:
            raise InputError(
                f"Can't sample {len(rows)} rows with {len(seeds)} seeds at temperature {temperature}: "
                "expected a seed for each, a temperature above 0 and a model that reads packed rows."
            )
        prompts = [self.codec.encode_prompt(row) for row in rows]
        texts: dict[int, str] = {}
        for part, room in self._parts(rows, prompts, max_new_tokens):
            with self.precision():
                outputs = generate_packed(
                    self.module.network,
                    [prompts[i] for i in part],
                    room,
                    self.codec.stop_ids,
                    sampled(temperature, [seeds[i] for i in part]),
                )
            texts.update((i, self.codec.decode(ids).strip()) for i, ids in zip(part, outputs, strict=True))
        return [texts[i] for i in range(len(rows))]

    def _continued(self, prompts: Sequence[tuple[int, ...]], room: int) -> list[list[int]]:
        """Return greedy continuations, which may be longer than the rows that decide whether rows pack."""
        network, longest = self.module.network, max(map(len, prompts)) + room
        packs = self.module.packs and not _looks_back_less(network, longest)
        return (generate_packed if packs else generate_padded)(network, prompts, room, self.codec.stop_ids)

    def _parts(
        self, rows: Sequence[Row], prompts: Sequence[tuple[int, ...]], max_new_tokens: int
    ) -> Iterator[tuple[list[int], int]]:
        """Give batches of prompts by index, and how many tokens each of their answers may have.

        Positions beyond the model's window were never learned; in GPT-2 or OPT there are none.
        """
        window = window_of(self.module.network)
        rooms: dict[int, list[int]] = {}
        for i, prompt in enumerate(prompts):
            room = max_new_tokens if window is None else min(max_new_tokens, window - len(prompt))
            if room < 1:
                raise InputError(
                    f"Row {rows[i].id!r} has {len(prompt)} prompt tokens; {self.name} reads {window} at "
                    "most, its answer included. Shorten the row."
                )
            rooms.setdefault(room, []).append(i)
        for room, own in rooms.items():
            for part in batches([prompts[i] for i in own], GENERATION_TOKENS):
                yield [own[k] for k in part], room

    def save(self, folder: Path, card: ModelCard | None = None) -> None:
        """Write weights, configuration, tokenizer and model card as an ordinary Hugging Face folder.

        Raises:
            ExistsError: The folder holds something.
            WriteFailed: The disk refused it; nothing was left behind.
        """
        save_model(self.module.network, self.codec.tokenizer, folder, card=card)


def load(
    model: str | Path,
    *,
    dtype: str = "auto",
    max_length: int = 1024,
    device: str | None = None,
    four_bit: bool = False,
) -> HFModel:
    """Load a model for scoring, generation and training.

    Args:
        model: ``smollm2``, a local folder (model, adapter or run) or a hub id.
        dtype: Compute type: ``auto``, ``float32`` or ``bfloat16``. Weights are kept in float32.
        max_length: Longest row in tokens.
        device: As torch names it; by default a GPU if there is one.
        four_bit: Keep linear layers in 4 bits (to train adapters on them); needs bitsandbytes.

    Raises:
        MissingError: There is no such model here.
        InputError: It can't be loaded safely.
    """
    from forgetwell.models.hardware import pick_device, pick_dtype
    from forgetwell.models.loading import FourBit, load_pretrained

    where = device or pick_device()
    compute = pick_dtype(dtype, where).compute
    loaded = load_pretrained(str(model), four_bit=FourBit(where, compute) if four_bit else None)
    network = loaded.model if four_bit else loaded.model.to(where)
    codec = Codec(loaded.tokenizer, min(max_length, window_of(network) or max_length))
    return wrap(network, codec, loaded.name, loaded.digest, compute)


def wrap(
    network: Any,  # noqa: ANN401 - any causal LM
    codec: Codec,
    name: str,
    digest: str,
    compute: torch.dtype = torch.float32,
) -> HFModel:
    """Put a transformers model behind `HFModel`, packing rows only if that gives the same numbers.

    Raises:
        InputError: Body and LM head alone don't give the model's logits, so that every number would be wrong.
    """
    network.eval()  # without dropout, of which no two forwards are alike
    packs = _agrees(network, packs=True) and not _looks_back_less(network, codec.max_length)
    if not packs and not _agrees(network, packs=False):
        raise InputError(
            f"{name} makes its logits in a way that isn't supported: not by a body and an LM head, or not "
            "token after token. Use a model of another kind."
        )
    if packs:
        use_windows(Decoder(network).plain)
    return HFModel(ScoringModule(network, packs), codec, name, digest, compute)


def window_of(network: Any) -> int | None:  # noqa: ANN401 - any causal LM
    """Return the most tokens that a model reads, if it says so."""
    text = Decoder(network).plain.config.get_text_config()
    window: int | None = getattr(text, "max_position_embeddings", None)
    return window


def _looks_back_less(network: Any, longest: int) -> bool:  # noqa: ANN401 - any causal LM
    """Say whether some layer attends within a window or chunk shorter than the longest row.

    A mask of ancestors would let it see more than it was trained with; short rows don't show it.
    """
    text = Decoder(network).plain.config.get_text_config()
    kinds = getattr(text, "layer_types", None)
    if kinds is not None and set(kinds) == {"full_attention"}:
        return False
    spans = (getattr(text, name, None) for name in _SPANS)
    return any(isinstance(span, int) and 0 < span < longest for span in spans)


@torch.no_grad()
def _agrees(network: Any, *, packs: bool) -> bool:  # noqa: ANN401 - any causal LM
    """Say whether packed (else padded) rows give the logits that the network gives for each row alone."""
    rows = [Encoded((1, 2, 3, 4, 5, 6), 3), Encoded((1, 2, 3, 7, 8), 3)]
    device = next(network.parameters()).device
    try:
        batch = (pack(rows) if packs else pad(rows)).to(device)
        ours = ScoringModule(network, packs)(batch).float()
        alone = [network(torch.tensor([r.ids], device=device)).logits[0, r.start - 1 : -1] for r in rows]
    except (TypeError, ValueError, RuntimeError, AttributeError, IndexError):
        return False
    return bool(torch.allclose(ours, torch.cat(alone).float(), atol=1e-3, rtol=1e-3))


def batches(sequences: Sequence[tuple[int, ...]], limit: int) -> Iterator[list[int]]:
    """Give indices in batches of about `limit` distinct tokens, rows with a common start together."""
    part: list[int] = []
    size = 0
    previous: tuple[int, ...] = ()
    for i in sorted(range(len(sequences)), key=lambda k: sequences[k]):
        ids = sequences[i]
        new = len(ids) - shared_prefix(previous, ids)
        if part and size + new > limit:
            yield part
            part, size, new = [], 0, len(ids)
        part.append(i)
        size, previous = size + new, ids
    if part:
        yield part
