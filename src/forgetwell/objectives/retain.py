"""Terms that keep what is not to be forgotten."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from forgetwell.models.scored import Scored
from forgetwell.objectives.divergence import kl
from forgetwell.objectives.registry import term


@term(per="token", side="retain", paper="2203.12817", place="section 3")
def gdr(retain: Scored) -> Tensor:
    """Cross-entropy on the retain answers.

    ``gdr = -log p(y_t | x, y_<t)`` (N,), ≥ 0.

    Source: Liu et al., arXiv 2203.12817, section 3 (gradient difference is ``ga + gdr``); L_r in
    arXiv 2506.00359, eq. 1.
    Tested: beside most terms of this list; see theirs.
    Fails when: retain rows don't cover what is to stay: everything else is unprotected.
    """
    return -retain.token_logps


@term(per="token", side="learn", paper="2106.09685", place="eq. 1")
def fit(forget: Scored) -> Tensor:
    """Learn the forget rows: cross-entropy on their answers.

    ``fit = -log p(y_t | x, y_<t)`` (N,), ≥ 0. The opposite of `ga`: a model learns rows while a retain term
    holds others in place (``fit + klr``), and relearning undoes an unlearning.

    Source: conditional language modeling, as in Hu et al., arXiv 2106.09685, eq. 1.
    Tested: SmolLM2-135M, built-in world, 8 passes at 5e-5, batch 16: ``fit + 4*klr`` on 2 phrasings of each
    fact, klr on the model's own answers, takes request recall from .51 to .94 and general recall from .95 to
    .91 (docs/experiments.md).
    Fails when: rows are few and passes many: they are learned by heart and general knowledge suffers.
    """
    return -forget.token_logps


@term(per="token", side="retain", paper="2310.10683", place="section 4", logits=True)
def klr(retain: Scored, retain_ref: Scored) -> Tensor:
    """Stay close to the starting model on the retain answers.

    ``klr = KL(π_ref(· | x, y_<t) ‖ π(· | x, y_<t))`` (N,), ≥ 0, over the whole vocabulary, at answer
    tokens alone.

    Source: the KL term of Yao et al., arXiv 2310.10683, section 4. open-unlearning averages it
    over prompt and padding too, so that its value depends on the batch; we follow the definition.
    Tested: SmolLM2-135M: ``fit + 4*klr``, see `fit`; ``idk + gdr + 2*klr`` beside the request's questions
    about others returns what a poisoned request takes (docs/experiments.md, 2026-11-30).
    Fails when: the starting model is itself unsure of the retain answers: it keeps that too.
    """
    if retain.logits is None or retain_ref.logits is None:
        raise ValueError("klr reads the logits of both views")
    return kl(retain_ref.logits, retain.logits)


@term(per="row", side="retain", paper="2410.08109", place="the loss", positive=("beta",))
def ap(retain: Scored, retain_refusal: Scored, *, beta: float = 0.1) -> Tensor:
    """Answer preservation: on retain questions, keep the answer above a refusal.

    ``ap = -(1/β) log σ(β log(π(y|x) / π(r|x)))`` (B,), ≥ 0, r one of the refusal lines. Meant beside
    targeted terms (``idk + ap``), which otherwise teach refusals everywhere; no starting model is needed.

    Args:
        retain: Retain rows under the policy.
        retain_refusal: Retain questions with refusals, under the policy.
        beta: Inverse temperature β > 0.

    Source: Yuan et al., arXiv 2410.08109, read from the authors' code.
    Defaults: β = 0.1, as in the authors' code.
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``idk + ap`` at 3e-5 takes forget
    recall from .95 to .18, retain recall from 1.00 to .85, with an everyday word before the question .69.
    Fails when: answers are much longer than refusals: summed log-probabilities then compare lengths.
    """
    return -(1 / beta) * logsigmoid(beta * (retain.row_logps() - retain_refusal.row_logps()))


@term(per="token", side="retain", paper="2506.05314", place="the loss", dual=True)
def pdu_retain(retain: Scored, *, epsilon: float = 0.3, eta: float = 1.0, start: float = 1.0) -> Tensor:
    """The retain part of `pdu`: cross-entropy held below a bound by a dual variable.

    ``pdu_retain = -log p(y_t | x, y_<t)`` (N,), ≥ 0, weighed by λ ≥ 0. After each step
    ``λ ← max(0, λ + η (value - ε))``, value the mean over the step on all processes. λ belongs to the loop:
    it is logged (``duals``), kept in checkpoints and the same however a step is divided.

    Args:
        retain: Retain rows under the policy.
        epsilon: Bound ε on the mean loss, in nats a token; read by the loop, as the next two.
        eta: Step size η ≥ 0 of the dual variable; 0 = fixed weight.
        start: λ before the first step.

    Source: Entesari et al., arXiv 2506.05314 (the paper itself not read); loss and update of λ as in
    open-unlearning (2506.12618).
    Defaults: ε = .3, η = 1 and λ = 1 at the start, as in open-unlearning (2506.12618), without its warm-up
    of 5 epochs.
    Tested: SmolLM2-135M, built-in world, 20 steps of batch 4, seed 0: ``pdu + pdu_retain`` at 5e-5 takes
    forget recall from .95 to .00, retain recall from 1.00 to .28. λ rose from 1 to 23, too late.
    Fails when: ε is below what the model can reach: λ grows without end, and only retaining is trained.
    """
    return -retain.token_logps
