"""The paper's claims as an experiment: what the attack takes, what `su` returns, and what a control returns.

Every run of a comparison starts from one learned model, draws the same rows in the same order, and is probed
at the same steps on the same questions. A run leaves ``curve.jsonl`` (one value a row and checkpoint),
``answers.jsonl`` (what the model said) and a manifest; finished runs are reused, so that an interrupted
experiment goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from forgetwell.calls import parse_call
from forgetwell.errors import Diverged
from forgetwell.experiments.bench import Bench, sampled_utility
from forgetwell.experiments.probing import Probing, Questions
from forgetwell.experiments.receiving import Received, receive
from forgetwell.experiments.sameness import check_same, learned_settings
from forgetwell.methods.finetune import Lora, finetune
from forgetwell.methods.registry import METHODS, Training, apply_method
from forgetwell.metrics.registry import ROW_METRICS
from forgetwell.models.lm import HFModel, load
from forgetwell.objectives.algebra import parse_objective
from forgetwell.registry import Item, own_code
from forgetwell.requests.attacks import ATTACKS
from forgetwell.requests.repairs import REPAIRS, reads_findings
from forgetwell.requests.screening import SCREENS
from forgetwell.runs.folder import start_run, write_manifest
from forgetwell.runs.records import is_complete
from forgetwell.runs.tracking import tracked
from forgetwell.suites.probe import RECALL
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks, Summary
from forgetwell.training.rules import STEP_RULES
from forgetwell.training.views import items_of
from forgetwell.types import Request

# Utility is asked from where forgetting begins: it is read between two probes, and recall may fall from there
# to the lowest level within one of them.
_BEGUN = 0.97


@dataclass(frozen=True)
class Setup:
    """What all runs of a comparison share.

    Attributes:
        config: Training; its seed is replaced by each run's.
        lora: Adapters instead of full fine-tuning.
        per_set: Utility questions of each set and seed; each is asked clean and in every template.
        floor: Forget recall at which a run stops, which makes it quick; 0 = it takes all its steps. Utility
            may come back behind the place where a level is first reached.
        utility_below: Forget recall from which utility is asked, beside the start and the last step; 0 =
            everywhere, so that curves can be read at any level.
        trigger: Attack in whose wording utility is asked with a trigger; "" = the paper's templates.
        metric: Metric of greedy answers by which forgetting and utility are read, over the rows to which it
            applies: what is called recall everywhere here; "" = ``rouge_l_recall``.
    """

    config: TrainConfig = TrainConfig()  # noqa: RUF009 - frozen
    lora: Lora | None = None
    per_set: int = 20
    floor: float = 0.15
    utility_below: float = 0.0
    trigger: str = ""
    metric: str = ""

    @property
    def read_by(self) -> str:
        """The metric's name."""
        return self.metric or RECALL

    @property
    def left(self) -> str:
        """The probe's name for how much is left of the request."""
        return f"forget.{self.read_by}"


@dataclass(frozen=True)
class Run:
    """One run of a comparison.

    Attributes:
        condition: Its part in the comparison, as "attacked".
        seed: Of the attack and of all draws.
        attack: What the requester did, as a call; "" = nothing.
        objective: What is minimized; "" with a method that isn't an objective.
        method: Such a method, as "task_vector(alpha=5)"; "" = minimizing the objective.
        then: An objective of retain terms that the result is trained on, with the bench's other rows: the
            provider's continued fine-tuning; "" = nothing.
        repairs: What the provider does to the request before, one after the other, as "strip".
        screens: Screens all of whose findings are repaired; none = the alarms of all that need no model.
        counterfactuals: Others that each question is asked about as well; 0 = nobody.
    """

    condition: str
    seed: int
    attack: str
    objective: str
    method: str = ""
    then: str = ""
    repairs: tuple[str, ...] = ()
    screens: tuple[str, ...] = ()
    counterfactuals: int = 0

    @property
    def steps(self) -> str:
        """What the provider does, in words."""
        found = f" of {', '.join(self.screens) or 'alarms'}"
        repaired = "".join(f"{r}{found if reads_findings(r) else ''}, then " for r in self.repairs)
        asked = f"each question about {self.counterfactuals} others, " if self.counterfactuals else ""
        then = f", then {self.then}" if self.then else ""
        return f"{repaired}{asked}{self.objective or self.method}{then}"


def run_folder(out: Path, run: Run) -> Path:
    """Return where a run of a comparison lies."""
    return out / f"{run.condition}-{run.seed}"


def run_claim(
    bench: Bench,
    setup: Setup,
    run: Run,
    model: Path,
    out: Path,
    *,
    refusals: Sequence[str],
    report_to: Sequence[str] = (),
    starts: Path | None = None,
) -> Path:
    """Do one run of a comparison, unless it is done already; return its folder.

    Its log goes to the trackers of `report_to`. What is measured before the first step is kept in `starts`
    for all runs that share model and questions.

    Raises:
        InputError: A finished run of other settings is there.
    """
    folder, settings = run_folder(out, run), run_settings(bench, setup, run, model)
    if is_complete(folder):
        check_same(folder, settings, learned_settings(model))
        return folder
    start_run(folder, settings, overwrite=folder.exists())
    lm = load(str(model))
    received = receive(
        bench,
        lm,
        attack=run.attack,
        repairs=run.repairs,
        screens=run.screens,
        counterfactuals=run.counterfactuals,
        seed=run.seed,
    )
    stops = setup.config.probe_every and setup.floor > 0  # without probes a run is read at its end alone
    stop_at = f"{setup.left}<={setup.floor:g}" if stops else ""
    config = replace(setup.config, seed=run.seed, stop_at=stop_at)
    last = config.steps(-(-len(received.request.rows) // config.batch))
    probing = Probing(questions_of(bench, setup, run.seed), starts)
    with tracked(report_to, folder, settings) as log:
        hooks = Hooks(
            log=log,
            probe=lambda lm, step: {setup.left: probing.at(lm, step, always=step == last)},
        )
        training = Training(config, hooks)
        ended = _trained(lm, bench, received, setup, run, training, refusals, probing)
    probing.write(folder)
    made = {"start": lm.digest, "received": dict(received.facts)}
    write_manifest(folder, {**settings, **ended, **made})
    return folder


def _trained(
    lm: HFModel,
    bench: Bench,
    received: Received,
    setup: Setup,
    run: Run,
    training: Training,
    refusals: Sequence[str],
    probing: Probing,
) -> dict[str, Any]:
    """Unlearn, and train on where the run says so; return how it ended.

    A run that diverged is one as well: the next would be the same, and its curve holds up to there.

    Raises:
        Diverged: It did before anything was measured.
    """
    try:
        summary = _unlearn(lm, received, setup, run, training, refusals)
        if run.then:
            _go_on(lm, bench, run, training.config, probing, after=summary.steps)
    except Diverged as error:
        if not probing.curve:
            raise
        probing.diverged()
        return {"stopped": str(error), "diverged": True}
    return asdict(summary)


def run_settings(bench: Bench, setup: Setup, run: Run, model: Path) -> dict[str, Any]:
    """Return what a run depends on; runs of the same settings have the same outcome."""
    return {
        "kind": "unlearn",
        "bench": bench.name,
        "model": str(model),
        "data": bench.digest,
        "asking": bench.asking,
        **asdict(run),
        **asdict(setup),
        **({"own_code": own} if (own := own_code(_named(setup, run))) else {}),
    }


def _named(setup: Setup, run: Run) -> Iterator[Item]:
    """Give the items that a run names."""
    for text in (run.objective, run.then):
        if text:
            yield from items_of(parse_objective(text))
    calls = (
        (ATTACKS, (run.attack, setup.trigger)),
        (METHODS, (run.method,)),
        (REPAIRS, run.repairs),
        (SCREENS, run.screens),
        (STEP_RULES, (setup.config.step_rule,)),
        (ROW_METRICS, (setup.metric,)),
    )
    for family, texts in calls:
        yield from (family.get(parse_call(text).name) for text in texts if text)


def _unlearn(
    lm: HFModel,
    received: Received,
    setup: Setup,
    run: Run,
    training: Training,
    refusals: Sequence[str],
) -> Summary:
    if run.method:
        return apply_method(lm, received.request, received.retain, training, run.method).summary
    return finetune(
        lm,
        received.request,
        received.retain,
        training.hooks,
        objective=run.objective,
        config=training.config,
        refusals=refusals,
        lora=setup.lora,
    ).summary


def _go_on(
    lm: HFModel,
    bench: Bench,
    run: Run,
    config: TrainConfig,
    probing: Probing,
    *,
    after: int,
) -> None:
    """Train on without a forget term, and measure once what follows on the `after` steps of unlearning."""

    def probe(lm: HFModel, step: int) -> dict[str, float]:
        return {"forget": probing.at(lm, after + step, always=True, then=True)} if step else {}

    hooks = Hooks(probe=probe)
    going_on = replace(config, stop_at="", probe_every=0)
    finetune(lm, Request("", ()), bench.others, hooks, objective=run.then, config=going_on)


def questions_of(bench: Bench, setup: Setup, seed: int) -> Questions:
    """Return what a run of this seed is asked at its checkpoints."""
    splits = sampled_utility(bench, per_set=setup.per_set, seed=seed, trigger=setup.trigger)
    below = setup.utility_below or _BEGUN
    return Questions(bench.asked, splits, setup.read_by, bench.max_new_tokens, below)
