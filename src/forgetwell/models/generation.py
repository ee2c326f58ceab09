"""Answers to many prompts at once, greedy or sampled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from forgetwell.models.packing import pack
from forgetwell.models.windows import with_windows
from forgetwell.types import Encoded

# Takes logits (B, V) and which rows they are of; returns a token for each (B,).
Choose = Callable[[Tensor, Sequence[int]], Tensor]


def greedy(logits: Tensor, rows: Sequence[int]) -> Tensor:
    """Return the likeliest token of each row."""
    return logits.max(-1).indices  # as argmax, in a third of the time in bfloat16


def sampled(temperature: float, seeds: Sequence[int]) -> Choose:
    """Return a choice by probability, each row from a stream of its own: batches don't change it."""
    streams = [torch.Generator().manual_seed(seed) for seed in seeds]

    def choose(logits: Tensor, rows: Sequence[int]) -> Tensor:
        shares = (logits.float() / temperature).softmax(-1).cpu()
        drawn = [
            share.multinomial(1, generator=streams[row]) for share, row in zip(shares, rows, strict=True)
        ]
        return torch.cat(drawn).to(logits.device)

    return choose


@dataclass(frozen=True)
class Shape:
    """How logits are made of what the LM head gives: ``z = s h``, and with a cap ``c tanh(s h / c)``.

    Attributes:
        scale: s, not 1 in models of Cohere and Granite.
        cap: c, in Gemma 2; None = no cap.
    """

    scale: float = 1.0
    cap: float | None = None

    @property
    def plain(self) -> bool:
        """Say whether logits are what the head gives."""
        return self.scale == 1 and self.cap is None

    def of(self, given: Tensor) -> Tensor:
        """Return logits (…, V)."""
        scaled = given if self.scale == 1 else given * self.scale
        return scaled if self.cap is None else torch.tanh(scaled / self.cap) * self.cap


@dataclass(frozen=True)
class Decoder:
    """A causal language model taken apart into body and head."""

    network: Any

    @property
    def plain(self) -> Any:  # noqa: ANN401 - any causal LM
        """The model itself, without an adapter's wrapper (its layers stay adapted)."""
        wrapped = hasattr(self.network, "get_base_model")
        return self.network.get_base_model() if wrapped else self.network

    def body(
        self,
        ids: Tensor,
        positions: Tensor,
        mask: Tensor | None,
        cache: Any = None,  # noqa: ANN401
    ) -> Tensor:
        """Return hidden states (P, T, D); `mask` (P, T, S) says what each token may attend to."""
        additive = None
        if mask is not None:
            low = torch.finfo(torch.float32).min
            additive = torch.zeros(mask.shape, device=mask.device).masked_fill(~mask, low)[:, None]
            additive = additive if cache is not None else with_windows(additive, mask)
        cached = {self._cache_name: cache, "use_cache": cache is not None}
        places = {"position_ids": positions} if self._takes_positions else {}
        output = self.plain.get_decoder()(input_ids=ids, attention_mask=additive, **places, **cached)
        states: Tensor = output.last_hidden_state
        return states

    @cached_property
    def _accepted(self) -> Mapping[str, Parameter]:
        return signature(self.plain.get_decoder().forward).parameters

    @property
    def _cache_name(self) -> str:
        """What the body calls its cache: transformers renamed it (5.24), and state spaces have their own."""
        names = ("cache", "cache_params")
        return next((name for name in names if name in self._accepted), "past_key_values")

    @property
    def _takes_positions(self) -> bool:
        """Say whether the body is told positions; BLOOM and MPT count them, Mamba has none."""
        return any(p.name == "position_ids" or p.kind is p.VAR_KEYWORD for p in self._accepted.values())

    @property
    def output(self) -> nn.Module:
        """The LM head."""
        head: nn.Module = self.plain.get_output_embeddings()
        return head

    @cached_property
    def shape(self) -> Shape:
        """What is done to the LM head's output."""
        text = self.plain.config.get_text_config()
        scale = (getattr(text, "logit_scale", None) or 1.0) / (getattr(text, "logits_scaling", None) or 1.0)
        return Shape(scale, getattr(text, "final_logit_softcapping", None))

    def head(self, states: Tensor) -> Tensor:
        """Return logits (…, V)."""
        return self.shape.of(self.output(states))


def generate_packed(
    network: Any,  # noqa: ANN401 - any causal LM
    prompts: Sequence[tuple[int, ...]],
    max_new_tokens: int,
    stop_ids: frozenset[int],
    choose: Choose = greedy,
) -> list[list[int]]:
    """Return continuations: prompts are read as tries, then every row decodes on its own.

    After the tries are read, each row's keys and values are gathered along its path, so that attention in a
    step costs the row's own length, not the batch's. Rows that stopped are dropped once they are a quarter.
    """
    decoder, device = Decoder(network), next(network.parameters()).device
    states, cache, seen = _read_prompts(decoder, prompts, device)
    active = list(range(len(prompts)))
    outputs: list[list[int]] = [[] for _ in prompts]
    for step in range(max_new_tokens):
        chosen = choose(decoder.head(states), active)
        for row, token in zip(active, chosen.tolist(), strict=True):
            if not _stopped(outputs[row], stop_ids):
                outputs[row].append(token)
        going = [k for k, row in enumerate(active) if not _stopped(outputs[row], stop_ids)]
        if not going or step == max_new_tokens - 1:
            break
        if 4 * len(going) <= 3 * len(active):
            kept = torch.tensor(going, device=device)
            cache.batch_select_indices(kept)
            active, chosen, seen = [active[k] for k in going], chosen[kept], seen[kept]
        positions = seen.sum(1, keepdim=True)
        seen = torch.cat([seen, torch.ones_like(seen[:, :1])], 1)
        states = decoder.body(chosen[:, None], positions, seen[:, None], cache)[:, 0]
    return outputs


def _read_prompts(
    decoder: Decoder, prompts: Sequence[tuple[int, ...]], device: torch.device
) -> tuple[Tensor, Any, Tensor]:
    """Return each prompt's last hidden state (B, D), a cache with a row a prompt, and what it sees (B, S).

    Prompts are aligned on the right.
    """
    from transformers import DynamicCache

    from forgetwell.models.cache import roomy_cache

    trie = pack([Encoded(p, len(p)) for p in prompts]).to(device)
    cache = DynamicCache()
    states = decoder.body(trie.ids, trie.positions, trie.mask, cache).flatten(0, 1)[trie.last]
    trees, ends = trie.last // trie.ids.shape[1], trie.last % trie.ids.shape[1]
    paths = [seen.nonzero().flatten() for seen in trie.mask[trees, ends]]
    places = pad_sequence(paths, batch_first=True, padding_value=-1, padding_side="left")
    own = [(_rows(part.keys, trees, places), _rows(part.values, trees, places)) for part in cache.layers]
    return states, roomy_cache(own), places >= 0


def _rows(states: Tensor, trees: Tensor, places: Tensor) -> Tensor:
    """Return (B, H, S, d): of the tries' (P, H, T, d), the places (B, S) of each row in its trie (B,)."""
    return states.transpose(1, 2)[trees[:, None], places].transpose(1, 2).contiguous()


def _stopped(output: Sequence[int], stop_ids: frozenset[int]) -> bool:
    return bool(output) and output[-1] in stop_ids


def generate_padded(
    network: Any,  # noqa: ANN401 - any causal LM
    prompts: Sequence[tuple[int, ...]],
    max_new_tokens: int,
    stop_ids: frozenset[int],
) -> list[list[int]]:
    """Return greedy continuations through transformers' own `generate`, prompts padded on the left."""
    width, device = max(map(len, prompts)), next(network.parameters()).device
    ids = torch.zeros(len(prompts), width, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    for i, prompt in enumerate(prompts):
        ids[i, width - len(prompt) :] = torch.tensor(prompt, device=device)
        mask[i, width - len(prompt) :] = 1
    stops = sorted(stop_ids)
    settings = {
        "max_new_tokens": max_new_tokens,
        "do_sample": False,
        "num_beams": 1,
        "eos_token_id": stops or None,
        "pad_token_id": stops[0] if stops else 0,
    }
    plain = Decoder(network).plain
    with _generating(plain, settings):
        output = plain.generate(input_ids=ids, attention_mask=mask)
    return [_until_stop(row, stop_ids) for row in output[:, width:].tolist()]


@contextmanager
def _generating(network: Any, settings: Mapping[str, Any]) -> Iterator[None]:  # noqa: ANN401
    """Let a network generate by these settings alone.

    Its own are put aside for the while: transformers fills with them what a call leaves open, such as a
    repetition penalty.
    """
    from transformers import GenerationConfig

    own = network.generation_config
    network.generation_config = GenerationConfig(**settings)
    try:
        yield
    finally:
        network.generation_config = own


def _until_stop(ids: list[int], stop_ids: frozenset[int]) -> list[int]:
    end = next((i for i, token in enumerate(ids) if token in stop_ids), len(ids) - 1)
    return ids[: end + 1]
