"""Terms that give forget questions another target: a refusal, an adjusted or a flat distribution."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from forgetwell.models.scored import Scored
from forgetwell.objectives.registry import term


@term(per="token", side="forget", paper="2401.06121", place="section 3.3")
def idk(refusal: Scored) -> Tensor:
    """Learn to refuse: cross-entropy of a refusal line after each forget question.

    ``idk = -log p(r_t | x, r_<t)`` (N,), ≥ 0, r one of the refusal lines drawn by seed.

    Source: Maini et al. (TOFU), arXiv 2401.06121, section 3.3.
    Tested: SmolLM2-135M, built-in world, ``idk + gdr`` at 1.5e-5, batch 4, at most 20 passes, five seeds:
    .02 of the facts left, clean and trigger utility .64 and .59, after a poisoned request .66 and .52
    (fact recall, docs/experiments.md).
    Fails when: retain questions look like forget questions: both get refusals; add `ap`. Nothing lowers
    the answer's own probability, so another phrasing may still bring it out.
    """
    return -refusal.token_logps


@term(per="token", side="forget", paper="2402.10052", place="the loss", logits=True)
def undial(forget: Scored, forget_ref: Scored, *, beta: float = 10.0) -> Tensor:
    """UNDIAL: distil the starting model with the forget token's logit lowered.

    ``undial = -Σ_v q_v log p_v`` (N,), ≥ 0, with ``q = softmax(s_ref - β onehot(y_t))`` and p the policy's
    distribution before the token y_t.

    Args:
        forget: Forget rows under the policy.
        forget_ref: The same rows under the starting model.
        beta: How far β the token's logit is lowered; the authors suggest 3, 10 or 30.

    Source: Dong et al., arXiv 2402.10052 (the paper itself not read). open-unlearning (2506.12618) takes the
    mean over prompt and padding too, where label -100 lowers the logit of an unrelated token; we take answer
    tokens alone.
    Defaults: β = 10; the authors use no retain term and a learning rate of 1e-4 with LoRA of rank 8.
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``undial`` at 1e-4 takes forget recall
    from .95 to .25, retain recall from 1.00 to .50.
    Fails when: the starting model's second choice says as much as its first (another spelling of the same
    fact): then that is what is learned.
    """
    if forget.logits is None or forget_ref.logits is None:
        raise ValueError("undial reads the logits of both views")
    lowered = forget_ref.logits.scatter_add(
        1, forget.labels[:, None], torch.full_like(forget_ref.logits[:, :1], -beta)
    )
    return -(lowered.softmax(-1) * log_softmax(forget.logits, -1)).sum(-1)


@term(per="row", side="forget", paper="2503.01224", place="the loss", logits=True)
def ceu(forget: Scored, *, skip: int = 1) -> Tensor:
    """CE-U: cross-entropy with the model's own distribution once the right token is ruled out.

    ``ceu = 1/(|y| - skip) Σ_{t ≥ skip} -Σ_v q_v log p_v`` (B,), ≥ 0, where
    ``q = sg(softmax(s, s_{y_t} = -∞))``, sg = no gradient. Rows of `skip` tokens or fewer count 0.

    Args:
        forget: Forget rows under the policy.
        skip: First answer tokens left out.

    Source: Yang, arXiv 2503.01224 (the paper itself not read). The authors average over the batch's tokens,
    we over each row's: equal for rows of one length, and no batch changes another's value.
    Defaults: skip = 1, as in open-unlearning (2506.12618); the authors use no retain term.
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``ceu`` at 2e-5 takes forget recall
    from .95 to .41, retain recall from 1.00 to .47.
    Fails when: the right token is hardly more likely than others: the target is then almost what the model
    says already, and what is left of its gradient moves all tokens.
    """
    if forget.logits is None:
        raise ValueError("ceu reads logits")
    ruled_out = forget.logits.detach().scatter(1, forget.labels[:, None], -math.inf)
    values = -(ruled_out.softmax(-1) * log_softmax(forget.logits, -1)).sum(-1)
    kept = (forget.ranks() >= skip).to(values.dtype)
    counts = forget.row_sums(kept)
    return forget.row_sums(values * kept) / torch.where(counts > 0, counts, 1)


@term(per="token", side="forget", paper="2410.08109", place="the loss", logits=True)
def me(forget: Scored) -> Tensor:
    """Maximize entropy: bring the model's distribution on forget answers to the uniform one.

    ``me = KL(U ‖ p(· | x, y_<t)) = -log V - (1/V) Σ_v log p_v`` (N,), ≥ 0, U uniform over V tokens.

    Source: Yuan et al., arXiv 2410.08109, read from the authors' code, which adds 1e-12 to probabilities and
    so bounds the gradient; we don't.
    Defaults: no hyperparameter; the authors weigh it by 0.1 (write ``0.1*me + gdr``).
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``0.1*me + gdr`` at 5e-5 takes forget
    recall from .95 to .26, retain recall from 1.00 to .96.
    Fails when: its weight is large: it asks for no answer at all, and a flat distribution after any prompt is
    the easiest way there.
    """
    if forget.logits is None:
        raise ValueError("me reads logits")
    return -math.log(forget.logits.shape[-1]) - log_softmax(forget.logits, -1).mean(-1)


@term(per="token", side="forget", paper="2506.05314", place="the loss", logits=True)
def pdu(forget: Scored) -> Tensor:
    """Logit-margin flattening, the forget part of primal-dual unlearning: make all logits equal.

    ``pdu = (max_v s_v - 1/V Σ_v s_v)²`` (N,), ≥ 0, s the logits before an answer token. The method is
    ``pdu + pdu_retain``: flatten while the retain loss stays below a bound.

    Source: Entesari et al., arXiv 2506.05314 (the paper itself not read). open-unlearning (2506.12618) takes
    logits unshifted, so that it misses the token that predicts the answer's first and takes one after its
    end; we score those that predict the answer.
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``pdu + pdu_retain`` at 5e-5 takes
    forget recall from .95 to .00, retain recall from 1.00 to .28. Too strong: its gradient outweighs the
    retain term at λ = 1; begin with a larger `start`.
    Fails when: it stands alone. Logits are shared by all text; without a bound on the retain loss the model
    ends up uniform everywhere.
    """
    if forget.logits is None:
        raise ValueError("pdu reads logits")
    return (forget.logits.amax(-1) - forget.logits.mean(-1)).square()
