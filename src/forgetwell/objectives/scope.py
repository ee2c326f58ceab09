"""Scope-aware Unlearning: the terms that bound the forgetting signal."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from forgetwell.models.scored import Scored
from forgetwell.objectives.divergence import kl
from forgetwell.objectives.registry import term

Order = Literal["forget_first", "retain_first"]


@term(per="token", side="scope", paper="2506.00359", place="eq. 5")
def su(scope: Scored, *, order: Order = "forget_first", separator: str = " ", prompts: int = 1) -> Tensor:
    """Scope-aware unlearning: answer the retain question although a forget question stands beside it.

    ``su = -log p(y_r,t | x_f ⊕ x_r, y_r,<t)`` (N,), ≥ 0: only the retain answer is scored, after a prompt
    that holds the forget prompt x_f and the retain prompt x_r in one user turn. The samples are made on
    the fly from the rows already in the batch; the weight η is the coefficient, as in ``5*su``.

    Args:
        scope: The joined prompts with the retain answers, under the policy.
        order: Which comes first; read by the `scope` view, as the next two.
        separator: Text between the prompts.
        prompts: Forget prompts in one sample, 1 to the batch: that of the pair and those of the next places.

    Source: Ren et al., arXiv 2506.00359, section 4, eq. 5. The paper leaves the separator open; several
    prompts are ours.
    Defaults: the paper's order and number, joined by one space.
    Tested: SmolLM2-135M, built-in world, ``idk + gdr`` at 1.5e-5, batch 4, two thirds of the request
    rewritten, seed 0, at forget recall .3: ``2*su`` takes trigger utility from .51 to .68 (honest request
    .74), clean utility from .84 to .78 (.81), and so does ``2*su(prompts=2)``; ``3*gdr`` instead leaves .50
    (docs/experiments.md).
    Fails when: steps are large: at batch 8 and 2.5e-5 or more the default model breaks around step 12 to 18
    and recovers in part (docs/experiments.md).
    """
    return -scope.token_logps


@term(per="token", side="scope", paper="2506.00359", place="eq. 5, changed")
def su_parts(scope: Scored, *, longest: int = 4) -> Tensor:
    """Scope-aware unlearning with parts of forget prompts: a few of their words must change no answer.

    ``su_parts = -log p(y_r,t | part(x_f) ⊕ x_r, y_r,<t)`` (N,), ≥ 0. Everyday words of the request then
    appear as users write them, around one ordinary question, and not only inside a second question. Samples
    are shorter than those of `su`, so a step costs less.

    Args:
        scope: Retain questions beside words of the forget prompt, under the policy.
        longest: Most words of a part, 0 = all of the prompt (then it is `su`); read by the `scope` view.

    Source: Ren et al., arXiv 2506.00359, eq. 5, with parts of x_f instead of all of it: ours.
    Defaults: 4 words, the longest trigger frame of the TOFU and RWKU template sets.
    Tested: SmolLM2-135M, as `su`: ``2*su_parts`` takes trigger utility from .51 to .65, clean utility from
    .84 to .81, and forgets more slowly; ``su + su_parts`` gives .71 and .81 (docs/experiments.md).
    Fails when: a name alone decides what is to be forgotten: a part that is a name stands before a retain
    question too, and teaches that this name changes nothing there.
    """
    return -scope.token_logps


@term(per="token", side="scope", paper="2506.00359", place="eq. 5, changed")
def su_mixed(
    scope: Scored,
    *,
    longest: int = 4,
    parts: float = 0.5,
    order: Order = "forget_first",
    separator: str = " ",
) -> Tensor:
    """Scope-aware unlearning with whole forget prompts in some samples and parts of them in the others.

    ``su_mixed = -log p(y_r,t | c ⊕ x_r, y_r,<t)`` (N,), ≥ 0, where c is part(x_f) with chance `parts`, else
    x_f: `su` and `su_parts` in one term, at the cost of `su`.

    Args:
        scope: Retain questions beside forget prompts or words of them, under the policy.
        longest: Most words of a part; read by the `scope` view, as the next three.
        parts: Share of the samples that hold a part, 0 … 1.
        order: Which of question and whole prompt comes first.
        separator: Text between them.

    Source: Ren et al., arXiv 2506.00359, eq. 5, with parts of x_f in some samples: ours.
    Defaults: half of each.
    Tested: SmolLM2-135M, built-in world, 1.5e-5, batch 4, two thirds of the request rewritten: beside
    ``tpo(unwanted=facts) + gdr`` trigger utility is .01 to .02 above that with ``2*su`` (five seeds, shown at
    the end alone); with ``idk + gdr`` it forgets less (docs/experiments.md). Beside the other scope samples:
    docs/findings.md, *Which scope samples*.
    Fails when: as `su` and `su_parts` do.
    """
    return -scope.token_logps


@term(per="token", side="scope", paper="2506.00359", place="eq. 5, changed", logits=True)
def su_kl(
    scope: Scored,
    retain_ref: Scored,
    *,
    order: Order = "forget_first",
    separator: str = " ",
    prompts: int = 1,
    longest: int = 0,
) -> Tensor:
    """Scope-aware unlearning by divergence: beside a forget question, answer as the start does without it.

    ``su_kl = KL(π_ref(· | x_r, y_r,<t) ‖ π(· | x_f ⊕ x_r, y_r,<t))`` (N,), ≥ 0, over the whole vocabulary, at
    the tokens of the retain answer. `su` asks for the label whether the model knew it or not, and is also
    more training on it; this asks only that the forget prompt changes nothing. The starting model never sees
    a forget prompt here, and each retain row costs it one pass before the first step.

    Args:
        scope: Forget prompts, or parts of them, beside retain questions, under the policy.
        retain_ref: The retain questions alone, under the starting model.
        order: Which comes first; read by the `scope` view, as the next three.
        separator: Text between the prompts.
        prompts: Forget prompts in one sample, 1 to the batch.
        longest: Most words of a part of a forget prompt, as in `su_parts`; 0 = all of it.

    Source: Ren et al., arXiv 2506.00359, eq. 5, with the divergence of `klr` in place of its cross-entropy:
    ours. Tokens that only one of the two texts has, as the first of a plain text without a start token, count
    0: both are read from their ends.
    Defaults: whole prompts, as in `su`.
    Tested: SmolLM2-135M, as `su`: ``2*su_kl`` takes trigger utility from .51 to .69 and clean from .84
    to .77, ``su_kl + su_kl(longest=4)`` to .70 and .78: no more than ``su + su_parts`` (.71 and .81;
    docs/experiments.md).
    Fails when: the starting model is itself unsure of the retain answers: it keeps that too. Nothing holds
    the plain retain question; add `gdr` or `klr`.
    """
    if scope.logits is None or retain_ref.logits is None:
        raise ValueError("su_kl reads the logits of both views")
    # Alone a plain text may have another number of tokens: none scored first, or one more for a blank.
    both = torch.minimum(*(torch.bincount(view.row, minlength=view.rows) for view in (scope, retain_ref)))
    ours, theirs = _last(scope, both), _last(retain_ref, both)
    values = torch.zeros_like(scope.token_logps)
    return values.masked_scatter(ours, kl(retain_ref.logits[theirs], scope.logits[ours]))


def _last(scored: Scored, counts: Tensor) -> Tensor:
    """Say of each scored token (N,) whether it is among the last `counts` (B,) of its row."""
    lengths = torch.bincount(scored.row, minlength=scored.rows)
    return scored.ranks() >= (lengths - counts)[scored.row]
