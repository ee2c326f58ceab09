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
    Tested: SmolLM2-135M, built-in world, ``idk + gdr`` at 1.5e-5, batch 4, two thirds of the request
    rewritten, seed 0, at forget recall .3: ``2*su`` takes trigger utility from .51 to .68 (honest request
    .74), clean utility from .84 to .78 (.81); ``3*gdr`` instead leaves .51 (docs/experiments.md).
    Fails when: steps are large: at batch 8 and 2.5e-5 or more the default model breaks around step 12 to 18
    and recovers in part (docs/experiments.md).
    """
    return -scope.token_logps


@term(per="token", side="scope", paper="2506.00359", place="eq. 5, changed")
def su_parts(scope_part: Scored, *, longest: int = 4) -> Tensor:
    """Scope-aware unlearning with parts of forget prompts: a few of their words must change no answer.

    ``su_parts = -log p(y_r,t | part(x_f) ⊕ x_r, y_r,<t)`` (N,), ≥ 0. Everyday words of the request then
    appear as users write them, around one ordinary question, and not only inside a second question. Samples
    are shorter than those of `su`, so a step costs less.

    Args:
        scope_part: Retain questions beside words of the forget prompt, under the policy.
        longest: Most words of a part, ≥ 1; read by the `scope_part` view.

    Source: Ren et al., arXiv 2506.00359, eq. 5, with parts of x_f instead of all of it: ours.
    Defaults: 4 words, the longest trigger frame of the TOFU and RWKU template sets.
    Tested: SmolLM2-135M, as `su`: ``2*su_parts`` takes trigger utility from .51 to .65, clean utility from
    .84 to .81, and forgets more slowly; ``su + su_parts`` gives .71 and .81 (docs/experiments.md).
    Fails when: a name alone decides what is to be forgotten: a part that is a name stands before a retain
    question too, and teaches that this name changes nothing there.
    """
    return -scope_part.token_logps
