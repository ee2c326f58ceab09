"""A request on its way: what the requester makes of it, and then the provider, before unlearning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetwell.experiments.bench import Bench
from forgetwell.methods.own_answers import own_answers
from forgetwell.models.lm import LM
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.counterfactual import as_many, counterfactual_prompts
from forgetwell.requests.repairs import reads_findings
from forgetwell.requests.screening import Evidence
from forgetwell.runs.screening import repair_screened
from forgetwell.types import Request, Row


@dataclass(frozen=True)
class Received:
    """What is unlearned.

    Attributes:
        request: The request, attacked and repaired.
        retain: Rows to keep, which a repair may have changed.
        facts: Rows handed in, those that the attack rewrote, those that the repair dropped or changed, and
            those of them that were rewritten.
    """

    request: Request
    retain: tuple[Row, ...]
    facts: Mapping[str, int]


def receive(
    bench: Bench,
    lm: LM,
    *,
    attack: str = "",
    repairs: Sequence[str] = (),
    screens: Sequence[str] = (),
    counterfactuals: int = 0,
    seed: int = 0,
) -> Received:
    """Attack a bench's request and repair it, or what screening finds in it.

    The background is what a provider has at hand, `Bench.background`: no row on which utility is measured but
    those that unlearning trains on anyway. The model is asked by named screens alone.

    Args:
        bench: Whose request it is.
        lm: The model to be unlearned.
        attack: What the requester does, as a call; "" = nothing.
        repairs: What the provider does, as calls, one after the other.
        screens: Screens all of whose findings are repaired; by default the alarms of all that need no model.
        counterfactuals: Others that each question is asked about (`counterfactual_prompts`); with the
            model's own answers they are half of the rows to keep, or more.
        seed: Of the attack, and of the others.

    Raises:
        InputError: A call is miswritten, or nothing would be left of the request.

    Source: filtering before unlearning is the defense that arXiv 2506.00359, section 5, tries by loss
    (``repairs=["drop"], screens=["high_loss"]``); the other screens and repairs are ours.
    """
    asked = Request(bench.name, bench.request)
    retain = (*bench.retain, *(own_answers(lm, bench.keep) if bench.keep else ()))
    if attack:
        asked = attack_request(asked, attack, seed=seed)
    left = asked
    if repairs:
        screened = screens or any(map(reads_findings, repairs))
        usual = bench.background if screened else ()
        evidence = Evidence(usual, lm=lm if screens else None, retain=bench.retain)
        _, done = repair_screened(asked, retain, evidence, repairs, screens=screens)
        left, retain = done.request, done.retain
    if counterfactuals:
        others = counterfactual_prompts(left, bench.retain, per_row=counterfactuals, seed=seed)
        retain += as_many(own_answers(lm, others), len(retain))
    return Received(left, retain, _facts(asked, left))


def _facts(asked: Request, kept: Request) -> dict[str, int]:
    now = {row.id: row for row in kept.rows}
    changed = [row for row in asked.rows if now.get(row.id) != row]
    return {
        "rows": len(asked.rows),
        "rewritten": sum(row.edit is not None for row in asked.rows),
        "repaired": len(changed),
        "repaired_rewritten": sum(row.edit is not None for row in changed),
    }
