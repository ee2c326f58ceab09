"""What a person should know of a request and an objective before they run: words on stderr, no more."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import fmean
from typing import TYPE_CHECKING

from forgetwell.cli.app import say

if TYPE_CHECKING:
    from forgetwell.objectives.algebra import Objective
    from forgetwell.runs.job import Job
    from forgetwell.types import Request

_FEW = 0.02  # of honest rows 1 in 100 looks framed
_TOKENS = 1.4  # of a word, in the mean
_REACH = 4.0  # beta times an answer's tokens, at which npo ends about a nat a token below the start


def advise(job: Job) -> None:
    """Say what is likely to go wrong."""
    request, objective = job.request, job.terms
    for advice in (
        *(() if job.method else _of_goal(objective)),
        *_of_frames(request),
        *_of_beta(request, objective),
        *_of_others(job, objective),
    ):
        say(advice, aside=True)


def _of_frames(request: Request) -> Iterator[str]:
    """Tell how many questions stand in a frame, whose words unlearning would tie to forgetting."""
    from forgetwell.reports.visible import one_line
    from forgetwell.requests.bare import framed

    prompts = framed(request.rows)
    if len(prompts) > _FEW * len(request.rows):
        yield (
            f"{len(prompts)} of {len(request.rows)} rows frame what they ask: “"
            f"{one_line(prompts[0], longest=80)}”. Unlearning ties such words to forgetting, for all who "
            "use them; forgetwell repair --repair bare asks without them, and --counterfactuals 4 asks about "
            "others with them, where nothing is to be forgotten."
        )


def _of_goal(objective: Objective) -> Iterator[str]:
    """Tell where nothing would be forgotten."""
    if not any(term.item.facts["side"] == "forget" for term in objective.terms):
        yield f"{objective.text} has no term that forgets, as npo or idk: forgetwell list term."


def _of_beta(request: Request, objective: Objective) -> Iterator[str]:
    """Tell where npo would go on pushing at answers that are forgotten."""
    tokens = max(1.0, _TOKENS * fmean([len(row.answer.split()) for row in request.rows] or [0]))
    for term in objective.terms:
        if term.item.name != "npo" or term.hyperparameters["unwanted"] == "facts":
            continue
        beta: float = term.hyperparameters["beta"]
        if beta < _REACH / tokens / 2:
            yield (
                f"npo(beta={beta:g}) suits answers of some {_REACH / beta:.0f} tokens; these have about "
                f"{tokens:.0f}, and it goes on pushing when they are forgotten, which harms the rest. Try "
                f"npo(beta={_REACH / tokens:.1g}); see forgetwell show npo."
            )


def _of_others(job: Job, objective: Objective) -> Iterator[str]:
    """Tell how many questions can't be asked about others, and whether that helps the objective."""
    if not job.counterfactuals:
        return
    if not any(name.startswith("refusal") for term in objective.terms for name in term.item.inputs):
        yield (
            "--counterfactuals gives back what an attack takes from objectives that teach refusals, as idk; "
            "with npo and ga nothing was seen to come back (docs/experiments.md)."
        )
    if job.config.stop_at:
        yield (
            f"{job.config.stop_at} is first met where utility is at its lowest; with --counterfactuals it "
            "came back in the steps behind (docs/experiments.md). Leave --stop-at out, and measure what is "
            "left in the end."
        )
    asked = {row.id.rpartition("/")[0] for row in job.others}
    if silent := sum(row.id not in asked for row in job.request.rows):
        yield (
            f"{silent} of {len(job.request.rows)} rows name nobody (two or more words in capitals, or their "
            "subject), and are asked about nobody else: --counterfactuals does nothing about their wording."
        )
