"""Terms that compare answers: the forget answer with the starting model's, a refusal or an alternative."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from forgetwell.models.scored import Scored
from forgetwell.objectives.registry import Unwanted, term

Divergence = Literal["total_variation", "kl", "jensen_shannon", "pearson"]


@term(per="row", side="forget", paper="2404.05868", place="eq. 3", positive=("beta",))
def npo(forget: Scored, forget_ref: Scored, *, beta: float = 0.1, unwanted: Unwanted = "focus") -> Tensor:
    """Negative preference optimization: push the forget answers below the starting model.

    ``npo = -(2/β) log σ(-β log(π(y|x) / π_ref(y|x)))`` (B,), ≥ 0; β → 0 gives gradient ascent.

    Args:
        forget: Forget rows under the policy.
        forget_ref: The same rows under the starting model.
        beta: Inverse temperature β > 0; larger stops earlier.
        unwanted: What is pushed down; read by the `forget` view. ``focus``: the row's own, or all of it.
            ``facts``: the words that say the fact, as `tpo` has it.

    Source: Zhang et al., arXiv 2404.05868, eq. 3; log-probabilities summed over the answer.
    Defaults: β = 0.1, as in the paper and in open-unlearning, for answers of about 40 tokens. It pushes until
    the answer, summed over its tokens, is about 4/β nats less likely: on 8 tokens 5 nats each with 0.1.
    Tested: SmolLM2-135M, built-in world, 8e-6, batch 4, 20 passes: ``npo(beta=0.5) + gdr`` leaves .01 of the
    facts, clean and trigger utility .85 and .85 of .94 and .89, after a poisoned request .84 and .83 (three
    seeds); with 0.1 it ends at .68 and .73, after a poisoned one .70 and .60 (seed 1, docs/experiments.md).
    Fails when: β is small for the answers' length. It goes on pushing at what is forgotten, which breaks the
    rest, and ties everyday words of a poisoned request to it; `su` made that worse there.
    """
    ratio = forget.row_logps() - forget_ref.row_logps()
    return -(2 / beta) * logsigmoid(-beta * ratio)


@term(per="row", side="forget", paper="2410.07163", place="eq. 4", positive=("beta",))
def simnpo(forget: Scored, *, beta: float = 4.5, gamma: float = 0.0) -> Tensor:
    """SimNPO: like `npo` without a reference, by length-normalized log-probability.

    ``simnpo = -(2/β) log σ(-(β/|y|) log π(y|x) - γ)`` (B,), ≥ 0.

    Args:
        forget: Forget rows under the policy.
        beta: Inverse temperature β > 0.
        gamma: Margin γ in logits.

    Source: Fan et al., arXiv 2410.07163, eq. 4.
    Defaults: β = 4.5, γ = 0, the authors' TOFU setting; they weigh it by 0.125 (write ``0.125*simnpo``).
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``simnpo + gdr`` at 3e-5 takes forget
    recall from .95 to .77, retain recall from 1.00 to 1.00.
    Fails when: answers differ much in how likely they are by themselves. Without a reference, rare answers
    count as forgotten before they are.
    """
    mean = forget.row_means(forget.token_logps)
    return -(2 / beta) * logsigmoid(-beta * mean - gamma)


@term(per="row", side="forget", paper="2305.18290", place="eq. 7", positive=("beta",))
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
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``dpo + gdr`` at 3e-5 takes forget
    recall from .95 to .17, retain recall from 1.00 to .58.
    Fails when: retain questions look like forget questions. The model learns to refuse both; add `ap`.
    """
    chosen = refusal.row_logps() - refusal_ref.row_logps()
    rejected = forget.row_logps() - forget_ref.row_logps()
    return -(2 / beta) * logsigmoid(beta * (chosen - rejected))


@term(per="row", side="forget", paper="2409.13474", place="the loss", positive=("beta",))
def altpo(
    alternate: Scored, alternate_ref: Scored, forget: Scored, forget_ref: Scored, *, beta: float = 0.1
) -> Tensor:
    """Alternate preference optimization: prefer another plausible answer to the true one.

    ``altpo = -(2/β) log σ(β [log π(a|x)/π_ref(a|x) - log π(y|x)/π_ref(y|x)])`` (B,), ≥ 0, a one of the
    row's alternatives (column ``wrong`` or ``alternate``), drawn by seed; ``forgetwell alternates`` makes
    some for rows that have none.

    Args:
        alternate: Forget questions with alternative answers, under the policy.
        alternate_ref: The same under the starting model.
        forget: Forget rows under the policy.
        forget_ref: The same under the starting model.
        beta: Inverse temperature β > 0.

    Source: Mekala et al., arXiv 2409.13474 (the paper itself not read). The factor 2/β is open-unlearning's
    (2506.12618).
    Defaults: β = 0.1, the middle of the authors' grid {.05, .1, .5}; their retain weights are 1, 2 and 5.
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``altpo + gdr`` at 5e-5 takes forget
    recall from .95 to .77, retain recall from 1.00 to .83. The alternatives were the world's own wrong
    answers, which share most words with the true ones.
    Fails when: alternatives are few or alike: they are learned as new facts, stated with certainty. The
    requester writes them: the model says then what a stranger wrote. Metrics that compare with the same wrong
    answers (truth ratio) are no longer fair.
    """
    chosen = alternate.row_logps() - alternate_ref.row_logps()
    rejected = forget.row_logps() - forget_ref.row_logps()
    return -(2 / beta) * logsigmoid(beta * (chosen - rejected))


@term(
    per="row",
    side="forget",
    paper="2506.03142",
    place="the loss",
    logits=True,
    unmarked=True,
    positive=("beta",),
)
def tpo(
    forget: Scored,
    forget_ref: Scored,
    *,
    beta: float = 0.3,
    general: float = 1.0,
    unwanted: Unwanted = "focus",
) -> Tensor:
    """Targeted preference optimization: lower the logits of unwanted words, keep the answer's general words.

    ``tpo = -(2/β) log σ(β mean_u(z_ref,u - z_u)) - γ Σ_g log p(y_g | x, y_<g)`` (B,), ≥ 0, z_t the logit of
    y_t. u runs over the row's unwanted tokens, g over all others, the end of the answer too. An answer of
    which nothing is told apart is unwanted as a whole.

    Args:
        forget: Forget rows under the policy.
        forget_ref: The same rows under the starting model.
        beta: Inverse temperature β > 0.
        general: Weight γ ≥ 0 of the preservation loss on general words.
        unwanted: What is unwanted; read by the `forget` view. ``focus``: the row's own. ``facts``: the words
            that say the fact: no wrong answer has them, and a right one in other words has them too.

    Source: Zhou et al., arXiv 2506.03142 (targeted information forgetting), read in its abstract and in the
    code of that name (Unlearning-TPO on GitHub, read in a copy); the paper's own equations weren't read. The
    code takes the mean over the batch before σ, so that its value depends on the batch; ours is one value per
    row. Its masking of the starting model's logits has no effect there (it masks a copy) and is left out.
    Unwanted words are chosen there by GPT-4 or BERT; both ways here are ours and need no other model.
    Defaults: β = .3, between the authors' .19 and .32 on TOFU; γ = 1, as there.
    Tested: SmolLM2-135M, built-in world, ``tpo(unwanted=facts) + gdr`` at 1.5e-5, batch 4, two thirds of the
    request rewritten, five seeds, where .2 of the facts are left: clean and trigger utility (fact recall) .80
    and .77 after the honest request, .80 and .74 after the poisoned one, .84 and .79 with ``2*su_mixed``
    (docs/experiments.md).
    Fails when: the requester writes the wrong answers: whoever does chooses which words are unlearned
        (screen `everyday_facts`).
    Forgetting is read from recall: general words stay. A position's logits fall all together: the loss sees
    the label's logit alone, and its probability stays what it was. A short focus in a long answer:
    the preservation loss is a sum over tokens and outweighs the other; lower γ.
    """
    if forget.logits is None or forget_ref.logits is None:
        raise ValueError("tpo reads the logits of both views")
    label = forget.labels[:, None]
    fall = (forget_ref.logits.gather(1, label) - forget.logits.gather(1, label))[:, 0]
    unlearned = -(2 / beta) * logsigmoid(beta * forget.row_means(fall))
    if forget.mark is None:
        return unlearned
    return unlearned - general * replace(forget, mark=1 - forget.mark).row_logps()


@term(per="row", side="forget", paper="2410.11143", place="the loss")
def flat(refusal: Scored, forget: Scored, *, divergence: Divergence = "total_variation") -> Tensor:
    """FLAT: maximize an f-divergence between refusal and forget answer, with forget data alone.

    ``flat = f*(g*(P_y)) - g*(P_r)`` (B,), where ``P_y = 1/|y| Σ_t p(y_t | x, y_<t)`` of the forget answer
    and P_r the same of the refusal, g* the optimal variational function and f* the conjugate:

    ===============  ====================  ====================
    divergence       g*(v)                 f*(g*(v))
    ===============  ====================  ====================
    total_variation  tanh(v) / 2           tanh(v) / 2
    kl               v                     e^(v - 1)
    jensen_shannon   log 2 - log(1+e^-v)   v + log(1+e^-v) - log 2
    pearson          v                     v²/4 + v
    ===============  ====================  ====================

    Args:
        refusal: Forget questions with refusals, under the policy.
        forget: Forget rows under the policy.
        divergence: Which f-divergence.

    Source: Wang et al., arXiv 2410.11143, read in its abstract and in the authors' code (UCSC-REAL/FLAT),
    from which g* and f* are; the paper's own equations weren't read. That code averages over prompt and
    padding positions as zeros and over the batch before g*, so that its value depends on the batch; ours is
    one value per row.
    Defaults: total variation, as in the authors' code.
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``flat + gdr`` at 5e-5 takes forget
    recall from .95 to .77, retain recall from 1.00 to 1.00. The refusal is not learned in that time: its
    probability starts near 0.
    Fails when: both answers are improbable: probabilities, not logarithms, enter, so the gradient of a
    token vanishes with its probability and nothing learns to refuse.
    """
    wanted, unwanted = (
        refusal.row_means(refusal.token_logps.exp()),
        forget.row_means(forget.token_logps.exp()),
    )
    if divergence == "total_variation":
        return (torch.tanh(unwanted) - torch.tanh(wanted)) / 2
    if divergence == "kl":
        return (unwanted - 1).exp() - wanted
    if divergence == "jensen_shannon":
        return unwanted + softplus(-unwanted) - math.log(2) - (math.log(2) - softplus(-wanted))
    return unwanted.square() / 4 + unwanted - wanted
