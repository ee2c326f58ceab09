"""What items of one's own are written with, in one place.

A file with a term, which ``forgetwell unlearn --use mine.py --objective "hinge + gdr + 2*su" …`` then knows::

    from torch import Tensor

    from forgetwell.extend import Scored, term

    @term(per="row", side="forget", paper="", place="ours")
    def hinge(forget: Scored, forget_ref: Scored, *, margin: float = 5.0) -> Tensor:
        "Push each answer's log-probability down until it is `margin` below the starting model's."
        return (forget.row_logps() - forget_ref.row_logps() + margin).clamp(min=0)

A package that is installed is found by itself where it names its modules as entry points::

    [project.entry-points.forgetwell]
    mine = "my_package.terms"
"""

from forgetwell.experiments.bench import Bench, bench
from forgetwell.methods.finetune import Outcome, finetune
from forgetwell.methods.registry import Training, method
from forgetwell.metrics.registry import curve_metric, row_metric
from forgetwell.metrics.sets import Read, set_metric
from forgetwell.models.scored import Scored
from forgetwell.objectives.registry import term
from forgetwell.objectives.schedules import schedule
from forgetwell.own import use
from forgetwell.requests.attacks import request_attack
from forgetwell.requests.repairs import Repaired, repair
from forgetwell.requests.screening import Evidence, screen
from forgetwell.requests.template_sets import rewrite
from forgetwell.suites.registry import suite
from forgetwell.suites.types import Split, Suite
from forgetwell.training.rules import Descent, step_rule
from forgetwell.training.views import Pair, view
from forgetwell.types import Edit, Finding, Generation, Request, Row, TokenScores

__all__ = [
    "Bench",
    "Descent",
    "Edit",
    "Evidence",
    "Finding",
    "Generation",
    "Outcome",
    "Pair",
    "Read",
    "Repaired",
    "Request",
    "Row",
    "Scored",
    "Split",
    "Suite",
    "TokenScores",
    "Training",
    "bench",
    "curve_metric",
    "finetune",
    "method",
    "repair",
    "request_attack",
    "rewrite",
    "row_metric",
    "schedule",
    "screen",
    "set_metric",
    "step_rule",
    "suite",
    "term",
    "use",
    "view",
]
