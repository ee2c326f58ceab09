"""Terms that make the model forget."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from forgetwell.models.scored import Scored
from forgetwell.objectives.registry import term


@term(per="token", side="forget", paper="2210.01504", place="eq. 1")
def ga(forget: Scored) -> Tensor:
    """Gradient ascent: raise the loss on the forget answers.

    ``ga = log p(y_t | x, y_<t)`` (N,), unbounded below: it diverges if run for long.

    Source: Jang et al., arXiv 2210.01504, eq. 1. Gradient difference is ``ga + gdr``.
    """
    return forget.token_logps


@term(per="row", side="forget", paper="2404.05868", place="eq. 3")
def npo(forget: Scored, forget_ref: Scored, *, beta: float = 0.1) -> Tensor:
    """Negative preference optimization: push the forget answers below the starting model.

    ``npo = -(2/β) log σ(-β log(π(y|x) / π_ref(y|x)))`` (B,), ≥ 0; β → 0 gives gradient ascent.

    Args:
        forget: Forget rows under the policy.
        forget_ref: The same rows under the starting model.
        beta: Inverse temperature β > 0; larger stops earlier.

    Source: Zhang et al., arXiv 2404.05868, eq. 3; log-probabilities summed over the answer.
    Defaults: β = 0.1, as in the paper and in open-unlearning.
    """
    ratio = forget.row_logps() - forget_ref.row_logps()
    return -(2 / beta) * logsigmoid(-beta * ratio)


@term(per="row", side="forget", paper="2410.07163", place="eq. 4")
def simnpo(forget: Scored, *, beta: float = 4.5, gamma: float = 0.0) -> Tensor:
    """SimNPO: like `npo` without a reference, by length-normalized log-probability.

    ``simnpo = -(2/β) log σ(-(β/|y|) log π(y|x) - γ)`` (B,), ≥ 0.

    Args:
        forget: Forget rows under the policy.
        beta: Inverse temperature β > 0.
        gamma: Margin γ in logits.

    Source: Fan et al., arXiv 2410.07163, eq. 4.
    Defaults: β = 4.5, γ = 0, the authors' TOFU setting; they weigh it by 0.125 (write ``0.125*simnpo``).
    """
    mean = forget.row_logps() / forget.lengths()
    return -(2 / beta) * logsigmoid(-beta * mean - gamma)


@term(per="token", side="forget", paper="2401.06121", place="section 3.3")
def idk(refusal: Scored) -> Tensor:
    """Learn to refuse: cross-entropy of a refusal line after each forget question.

    ``idk = -log p(r_t | x, r_<t)`` (N,), ≥ 0, r one of the refusal lines drawn by seed.

    Source: Maini et al. (TOFU), arXiv 2401.06121, section 3.3.
    """
    return -refusal.token_logps


@term(per="row", side="forget", paper="2305.18290", place="eq. 7")
def dpo(
    refusal: Scored, refusal_ref: Scored, forget: Scored, forget_ref: Scored, *, beta: float = 0.1
) -> Tensor:
    """Direct preference optimization: prefer a refusal to the true answer.

    ``dpo = -(2/β) log σ(β [log π(r|x)/π_ref(r|x) - log π(y|x)/π_ref(y|x)])`` (B,), ≥ 0.

    Args:
        refusal: Forget questions with refusals, under the policy.
        refusal_ref: The same under the starting model.
        forget: Forget rows under the policy.
        forget_ref: The same under the starting model.
        beta: Inverse temperature β > 0.

    Source: Rafailov et al., arXiv 2305.18290, eq. 7. The factor 2/β, which the paper does not have, is
    open-unlearning's (2506.12618): it makes the gradient's scale that of `npo`.
    Defaults: β = 0.1, as there.
    """
    chosen = refusal.row_logps() - refusal_ref.row_logps()
    rejected = forget.row_logps() - forget_ref.row_logps()
    return -(2 / beta) * logsigmoid(beta * (chosen - rejected))
