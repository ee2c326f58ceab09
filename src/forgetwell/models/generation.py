"""Greedy answers to many prompts at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from forgetwell.models.packing import pack
from forgetwell.types import Encoded


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
        output = self.plain.get_decoder()(
            input_ids=ids,
            attention_mask=additive,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        states: Tensor = output.last_hidden_state
        return states

    def head(self, states: Tensor) -> Tensor:
        """Return logits (…, V)."""
        logits: Tensor = self.plain.get_output_embeddings()(states)
        return logits


def generate_packed(
    network: Any,  # noqa: ANN401 - any causal LM
    prompts: Sequence[tuple[int, ...]],
    max_new_tokens: int,
    stop_ids: frozenset[int],
) -> list[list[int]]:
    """Return greedy continuations, prompts merged into one trie and decoded side by side.

    Each step feeds one token a row as one sequence; a mask lets it see its own prompt and answer alone.
    Rows that stopped are no longer fed.
    """
    from transformers import DynamicCache

    decoder, device = Decoder(network), next(network.parameters()).device
    trie = pack([Encoded(p, len(p)) for p in prompts], limit=sum(map(len, prompts))).to(device)
    cache = DynamicCache()
    states = decoder.body(trie.ids, trie.positions, trie.mask, cache)[0, trie.last]
    visible = trie.mask[0, trie.last]
    active = list(range(len(prompts)))
    outputs: list[list[int]] = [[] for _ in prompts]
    for step in range(max_new_tokens):
        chosen = decoder.head(states).argmax(-1).tolist()
        for row, token in zip(active, chosen, strict=True):
            outputs[row].append(token)
        kept = [k for k, row in enumerate(active) if outputs[row][-1] not in stop_ids]
        if not kept or step == max_new_tokens - 1:
            break
        active = [active[k] for k in kept]
        visible = visible[kept]
        visible = torch.cat([visible, torch.eye(len(active), dtype=torch.bool, device=device)], 1)
        ids = torch.tensor([[outputs[row][-1] for row in active]], device=device)
        positions = torch.tensor([[len(prompts[row]) + step for row in active]], device=device)
        states = decoder.body(ids, positions, visible[None], cache)[0]
    return outputs


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
    output = network.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=stops or None,
        pad_token_id=stops[0] if stops else 0,
    )
    return [_until_stop(row, stop_ids) for row in output[:, width:].tolist()]


def _until_stop(ids: list[int], stop_ids: frozenset[int]) -> list[int]:
    end = next((i for i, token in enumerate(ids) if token in stop_ids), len(ids) - 1)
    return ids[: end + 1]
