"""The frozen starting model's values, computed once per row before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from forgetwell.models.generation import Shape
from forgetwell.models.hidden import reading_layers
from forgetwell.models.lm import SCORING_TOKENS, HFModel, batches
from forgetwell.models.scored import Scored, marks_of, scored_from_logits
from forgetwell.types import Encoded


@dataclass(frozen=True)
class Reference:
    """Cached values of the starting model; no second model is kept.

    Attributes:
        logps: Log-probability of each scored token, by row.
        hidden: Last hidden state (n, D) before each scored token, by row, where logits are needed.
        head: A frozen copy of the LM head's weight (V, D), or None.
        bias: Its bias, or None.
        shape: How logits are made of the head's output.
        device: Where `Scored` is made.
        layers: Output (n, D) of each layer that a term reads before each scored token, by layer and row.
    """

    logps: dict[Encoded, Tensor]
    hidden: dict[Encoded, Tensor]
    head: Tensor | None
    bias: Tensor | None
    shape: Shape
    device: torch.device
    layers: dict[int, dict[Encoded, Tensor]] = field(default_factory=dict)

    def scored(self, rows: Sequence[Encoded], *, logits: bool, layer: int | None = None) -> Scored:
        """Return the starting model's `Scored` for these rows, with logits or a layer's output if asked."""
        found = self._scored(rows, logits=logits)
        hidden = None
        if layer is not None:
            hidden = torch.cat([self.layers[layer][r] for r in rows]).to(self.device)
        return replace(found, mark=marks_of(rows, self.device), hidden=hidden)

    def _scored(self, rows: Sequence[Encoded], *, logits: bool) -> Scored:
        index = torch.tensor([b for b, r in enumerate(rows) for _ in r.ids[r.start :]])
        labels = torch.tensor([t for r in rows for t in r.ids[r.start :]])
        index, labels = index.to(self.device), labels.to(self.device)
        if logits and self.head is not None:
            states = torch.cat([self.hidden[r] for r in rows]).to(self.device)
            values = self.shape.of(torch.nn.functional.linear(states, self.head, self.bias))
            return scored_from_logits(values, labels, index, len(rows))
        token_logps = torch.cat([self.logps[r] for r in rows]).to(self.device)
        return Scored(len(rows), index, labels, None, token_logps)


@torch.no_grad()
def make_reference(
    lm: HFModel, rows: Iterable[Encoded], *, logits: bool, layers: Sequence[int] = ()
) -> Reference:
    """Score each distinct row once under the model as it is now.

    Keeps 4 bytes a scored token, with `logits` 4·D bytes more and one copy of the LM head (V·D·4 bytes),
    and 4·D bytes for each of the `layers` whose output is read.
    """
    distinct = list(dict.fromkeys(rows))
    kept: dict[Encoded, Tensor] = {}
    hidden: dict[Encoded, Tensor] = {}
    by_layer: dict[int, dict[Encoded, Tensor]] = {layer: {} for layer in layers}
    with lm.precision():  # around all batches: weights are cast once
        for part in batches([r.ids for r in distinct], SCORING_TOKENS):
            chosen = [distinct[i] for i in part]
            batch, lengths = lm.batch(chosen), [len(r.ids) - r.start for r in chosen]
            with reading_layers(lm.module.decoder, layers) as outputs:
                states = lm.module.hidden(batch)
            logps = lm.module.label_logps(states, batch.labels).cpu()
            kept.update(zip(chosen, torch.split(logps, lengths), strict=True))
            if logits:
                hidden.update(zip(chosen, torch.split(states.float().cpu(), lengths), strict=True))
            for layer, output in outputs.items():
                read = output.flatten(0, 1)[batch.source].float().cpu()
                by_layer[layer].update(zip(chosen, torch.split(read, lengths), strict=True))
    decoder = lm.module.decoder
    head: Any = decoder.output
    weight = head.weight.detach().clone() if logits else None
    bias = getattr(head, "bias", None)
    frozen_bias = bias.detach().clone() if logits and bias is not None else None
    return Reference(kept, hidden, weight, frozen_bias, decoder.shape, lm.device, by_layer)
