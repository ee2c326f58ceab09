"""Scope-aware Unlearning: the term that bounds the forgetting signal."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from forgetwell.models.scored import Scored
from forgetwell.objectives.registry import term

Order = Literal["forget_first", "retain_first"]


@term(per="token", side="scope", paper="2506.00359", place="eq. 5")
def su(scope: Scored, *, order: Order = "forget_first", separator: str = " ") -> Tensor:
    """Scope-aware unlearning: answer the retain question although a forget question stands beside it.

    ``su = -log p(y_r,t | x_f ⊕ x_r, y_r,<t)`` (N,), ≥ 0: only the retain answer is scored, after a prompt
    that holds the forget prompt x_f and the retain prompt x_r in one user turn. The samples are made on
    the fly from the rows already in the batch; the weight η is the coefficient, as in ``5*su``.

    Args:
        scope: The joined prompts with the retain answers, under the policy.
        order: Which prompt comes first; read by the `scope` view.
        separator: Text between the two prompts; read by the `scope` view.

    Source: Ren et al., arXiv 2506.00359, section 4, eq. 5. The paper leaves the separator open.
    Defaults: the paper's order, joined by one space.
    Fails when: its weight outgrows the forget term's: the model then learns to answer the forget question too
    (retain answers alone get better), or, at large steps, breaks before it recovers.
    """
    return -scope.token_logps
