"""What terms declare beside their loss: matrices to train, and dual variables of the loop."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence

from forgetwell.errors import InputError
from forgetwell.models.lm import HFModel
from forgetwell.objectives.algebra import Objective

# The output matrix of the MLP or of its experts in Llama, Mistral, Mixtral, Qwen, Gemma, Phi and MPT;
# GPT-2, GPT-NeoX, Falcon and BLOOM, GPT-J and CodeGen, OPT.
_MLP_OUTPUT = (
    r"\.({layers})\.((mlp|ffn)\.)?((shared_)?experts?\.(\d+\.)?)?"
    r"(down_proj|c_proj|dense_4h_to_h|fc_out|fc2)(\.|$)"
)


@contextlib.contextmanager
def only_updated(lm: HFModel, objective: Objective) -> Iterator[None]:
    """Make only those parameters trainable that the terms ask for; all come back as they were.

    A term that asks for none (``update=[]``) changes nothing. With adapters, only those on the matrices asked
    for are trained.

    Raises:
        InputError: The model has no such matrices.
    """
    wanted = [t.hyperparameters[t.item.facts["updates"]] for t in objective.terms if t.item.facts["updates"]]
    layers = {layer for chosen in wanted for layer in chosen}
    trainable = [(n, p) for n, p in lm.module.named_parameters() if p.requires_grad]
    kept = trainable
    if layers:
        pattern = re.compile(_MLP_OUTPUT.format(layers="|".join(map(str, sorted(layers)))))
        kept = [(n, p) for n, p in trainable if pattern.search(n)]
        if not kept:
            first = min(layers)
            raise InputError(
                f"update={sorted(layers)} was given; no trainable parameter there is named like the "
                "output matrix of an MLP (as down_proj). Choose layers of the model, or update=[] for all "
                f"parameters. Layer {first} has: {_of_layer(trainable, first) or 'none'}."
            )
    frozen = [p for n, p in trainable if n not in dict(kept)]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def _of_layer(parameters: Sequence[tuple[str, object]], layer: int) -> str:
    return ", ".join(name for name, _ in parameters if f".{layer}." in name)


def starting_duals(objective: Objective) -> dict[str, float]:
    """Return the dual variables before the first step, by the label of their term."""
    duals = (t for t in objective.terms if t.item.facts["dual"])
    return {t.label: float(t.hyperparameters["start"]) for t in duals}


def next_duals(
    objective: Objective, duals: Mapping[str, float], values: Mapping[str, float]
) -> dict[str, float]:
    """Return ``max(0, λ + η (value - ε))`` for each dual variable, values being those of the whole step."""
    moved = {}
    for term in objective.terms:
        if term.label in duals:
            h = term.hyperparameters
            slack = values[term.label] - h["epsilon"]
            moved[term.label] = max(0.0, duals[term.label] + h["eta"] * slack)
    return moved


def weights(objective: Objective, duals: Mapping[str, float], progress: float) -> dict[str, float]:
    """Return each term's weight at a share of the run, times its dual variable if it has one."""
    return {t.label: t.weight(progress) * duals.get(t.label, 1.0) for t in objective.terms}
