"""Terms that lower the probability of the forget answers token by token."""

from __future__ import annotations

import torch
from torch import Tensor

from forgetwell.models.scored import Scored
from forgetwell.objectives.registry import Unwanted, term


@term(per="token", side="forget", paper="2210.01504", place="eq. 1")
def ga(forget: Scored, *, unwanted: Unwanted = "focus") -> Tensor:
    """Gradient ascent: raise the loss on the forget answers.

    ``ga = log p(y_t | x, y_<t)`` (N,), unbounded below.

    Args:
        forget: Forget rows under the policy.
        unwanted: Which tokens count; read by the `forget` view. ``focus``: the row's own, or all. ``facts``:
            the words that say the fact, as `tpo` has it.

    Source: Jang et al., arXiv 2210.01504, eq. 1. Gradient difference is ``ga + gdr``.
    Tested: SmolLM2-135M, 20 TOFU authors, ``ga + gdr`` at 3e-5, 50 steps of batch 8, three seeds: forget
    recall .93 to .20, clean utility .46 to .25 (docs/experiments.md).
    Fails when: it runs for long. Nothing bounds it, so it ends in one repeated token and takes the retain
    answers along; stop it early (``--stop-at``) or take `npo`.
    """
    return forget.token_logps


@term(per="token", side="forget", paper="2502.19301", place="the loss")
def wga(forget: Scored, *, beta: float = 1.0) -> Tensor:
    """Weighted gradient ascent: ascend most where the model is still sure.

    ``wga = sg(p_t^β) log p_t`` (N,), p_t = p(y_t | x, y_<t), sg = no gradient; -1/(eβ) ≤ wga ≤ 0.

    Args:
        forget: Forget rows under the policy.
        beta: Exponent β ≥ 0; 0 gives `ga`.

    Source: Wang et al., arXiv 2502.19301 (the paper itself not read). Formula and default as
    in open-unlearning (2506.12618), without the reference model that it copies and never reads.
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``wga + gdr`` at 2e-5 takes forget
    recall from .95 to .77, retain recall from 1.00 to 1.00.
    Fails when: β is near 0 (then it is `ga`), or rows are known by heart: every token is then sure, grammar
    as much as facts, and all are pushed alike.
    """
    logps = forget.token_logps
    return (beta * logps.detach()).exp() * logps


@term(per="token", side="forget", paper="2505.11953", place="the loss")
def satimp(forget: Scored, *, beta1: float = 5.0, beta2: float = 1.0) -> Tensor:
    """SatImp: gradient ascent weighted by saturation and importance of each token.

    ``satimp = sg(p_t^β1 (1 - p_t)^β2) log p_t`` (N,), ≤ 0, sg = no gradient.

    Args:
        forget: Forget rows under the policy.
        beta1: Saturation exponent β1 ≥ 0: tokens that are forgotten already count less.
        beta2: Importance exponent β2 ≥ 0: tokens the model is quite sure of count less.

    Source: Yang et al., arXiv 2505.11953 (the paper itself not read). Formula as in
    open-unlearning (2506.12618), whose tables weigh it by 0.1 (write ``0.1*satimp + gdr``).
    Defaults: β1 = 5, β2 = 1, as there.
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``0.1*satimp + gdr`` at 5e-5 takes
    forget recall from .95 to .79, retain recall from 1.00 to 1.00.
    Fails when: the model knows the rows by heart. At p_t = 1 the weight is 0: such rows start with almost no
    gradient of their own beside the retain term's.
    """
    logps = forget.token_logps
    sure = logps.detach()
    return (beta1 * sure).exp() * torch.expm1(sure).neg().pow(beta2) * logps
