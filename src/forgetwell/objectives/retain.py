"""Terms that keep what is not to be forgotten."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import log_softmax

from forgetwell.models.scored import Scored
from forgetwell.objectives.registry import term


@term(per="token", side="retain", paper="2203.12817", place="section 3")
def gdr(retain: Scored) -> Tensor:
    """Cross-entropy on the retain answers.

    ``gdr = -log p(y_t | x, y_<t)`` (N,), ≥ 0.

    Source: Liu et al., arXiv 2203.12817, section 3 (gradient difference is ``ga + gdr``); L_r in
    arXiv 2506.00359, eq. 1.
    """
    return -retain.token_logps


@term(per="token", side="learn", paper="2106.09685", place="eq. 1")
def fit(forget: Scored) -> Tensor:
    """Learn the forget rows: cross-entropy on their answers.

    ``fit = -log p(y_t | x, y_<t)`` (N,), ≥ 0. The opposite of `ga`: a model learns rows while a retain term
    holds others in place (``fit + klr``), and relearning undoes an unlearning.

    Source: conditional language modeling, as in Hu et al., arXiv 2106.09685, eq. 1.
    """
    return -forget.token_logps


@term(per="token", side="retain", paper="2310.10683", place="section 4", logits=True)
def klr(retain: Scored, retain_ref: Scored) -> Tensor:
    """Stay close to the starting model on the retain answers.

    ``klr = KL(π_ref(· | x, y_<t) ‖ π(· | x, y_<t))`` (N,), ≥ 0, over the whole vocabulary, at answer
    tokens alone.

    Source: the KL term of Yao et al., arXiv 2310.10683, section 4. open-unlearning averages it
    over prompt and padding too, so that its value depends on the batch; we follow the definition.
    """
    if retain.logits is None or retain_ref.logits is None:
        raise ValueError("klr reads the logits of both views")
    ours, theirs = log_softmax(retain.logits, -1), log_softmax(retain_ref.logits, -1)
    return (theirs.exp() * (theirs - ours)).sum(-1)
