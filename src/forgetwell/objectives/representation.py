"""Terms on hidden states at one layer."""

from __future__ import annotations

import torch
from torch import Tensor

from forgetwell.models.scored import Scored
from forgetwell.objectives.registry import term


@term(per="row", side="forget", paper="2403.03218", place="the loss", hidden="layer", updates="update")
def rmu(
    forget: Scored,
    *,
    layer: int = 7,
    c: float = 300.0,
    seed: int = 0,
    update: tuple[int, ...] = (5, 6, 7),
) -> Tensor:
    """Representation misdirection: steer hidden states on forget answers to a random direction.

    ``rmu = 1/|y| Σ_t 1/D ‖h_t - c u‖²`` (B,), ≥ 0, h_t the output of a layer at the token that predicts y_t,
    u a random unit vector with entries ≥ 0, drawn once by seed. Only the MLP output matrices of the layers
    in `update` are trained, whatever other terms stand beside it (with LoRA: only their adapters).

    Args:
        forget: Forget rows under the policy, with hidden states of a layer.
        layer: That layer, from 0; read before the forward.
        c: Length c of the target; two to four times the length of h.
        seed: Of the direction u.
        update: Layers whose MLP output matrix is trained; () = all parameters.

    Source: Li et al. (WMDP), arXiv 2403.03218 (the paper itself not read). open-unlearning (2506.12618)
    divides by token counts of the wrong shape (right for equal lengths only) and makes all parameters
    trainable again; ours is one mean per row, and nothing else has gradients.
    Defaults: layer 7 and matrices of layers 5 to 7, as the authors. c = 300 for the default model, whose
    states of layer 7 are 121 long in the mean; the authors' code has 20, for models with shorter ones.
    Tested: SmolLM2-135M, built-in world, ``rmu + 30*rmu_retain`` at 1e-2, 40 steps of batch 4, seed 0:
    forget recall from .98 to .32 in one run and to .55 in another that differs in rounding and in the sample
    of rows; retain facts .98 and 1.00, general questions kept, facts of people in neither set 1.00 to .52.
    With c = 500 forget .04, retain .83, but general .00 and the other people .17.
    Fails when: c is small against the states' length, or the learning rate is one for all parameters: the
    matrices' entries are large (deviation .18 on the default model), and nothing is forgotten. Or the retain
    term is weak: any text of the same style turns to noise. Other facts of the same kind that no retain row
    holds go with the forgotten ones. Write ``rmu + 30*rmu_retain``, not `gdr` alone.
    """
    if forget.hidden is None:
        raise ValueError("rmu reads hidden states")
    hidden = forget.hidden.float()
    stream = torch.Generator().manual_seed(seed)
    direction = torch.rand(hidden.shape[-1], generator=stream).to(hidden.device, hidden.dtype)
    target = c * direction / direction.norm()
    return forget.row_means((hidden - target).square().mean(-1))


@term(per="row", side="retain", paper="2403.03218", place="the loss", hidden="layer")
def rmu_retain(retain: Scored, retain_ref: Scored, *, layer: int = 7) -> Tensor:
    """The retain part of `rmu`: hold hidden states on retain answers where the starting model had them.

    ``rmu_retain = 1/|y| Σ_t 1/D ‖h_t - h_t,ref‖²`` (B,), ≥ 0.

    Args:
        retain: Retain rows under the policy, with hidden states of a layer.
        retain_ref: The same under the starting model.
        layer: That layer, from 0; the one of `rmu`.

    Source: Li et al. (WMDP), arXiv 2403.03218 (the paper itself not read); the formula is that of
    open-unlearning (2506.12618), which calls it EMBED_DIFF. The authors' code weighs it by about 100 to 1200.
    Tested: see `rmu`.
    Fails when: its weight is that of `rmu`: squared distances to the start are small against the distance to
    c u, so it hardly pulls.
    """
    if retain.hidden is None or retain_ref.hidden is None:
        raise ValueError("rmu_retain reads hidden states of both views")
    return retain.row_means((retain.hidden.float() - retain_ref.hidden.float()).square().mean(-1))
