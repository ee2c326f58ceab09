"""The paper's claims as an experiment: what the attack takes, what `su` returns, and what a control returns.

Every run of a comparison starts from one learned model, draws the same rows in the same order, and is probed
at the same steps on the same questions. A run leaves ``curve.jsonl`` (one value a row and checkpoint) and a
manifest; finished runs are reused, so that an interrupted experiment goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError
from forgetwell.experiments.benches import Bench, sampled_utility
from forgetwell.experiments.receiving import Received, receive
from forgetwell.files import digest, read_json, read_jsonl, write_json, write_jsonl
from forgetwell.methods.finetune import Lora, finetune
from forgetwell.methods.registry import Training, apply_method
from forgetwell.models.lm import HFModel, load
from forgetwell.runs.folder import read_manifest, start_run, write_manifest
from forgetwell.runs.records import is_complete
from forgetwell.runs.tracking import tracked
from forgetwell.suites.probe import RECALL, answered, mean
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks, Summary
from forgetwell.types import Request, Row

CURVE = "curve.jsonl"
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
        floor: Forget recall at which a run stops.
        utility_below: Forget recall from which utility is asked, beside the start and the last step. The
            floor makes runs quick; 0 = where forgetting begins, so that curves can be read at any level.
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
        repair: What the provider does to the request before, as "strip"; "" = nothing.
        screens: Screens all of whose findings are repaired; none = the alarms of all that need no model.
    """

    condition: str
    seed: int
    attack: str
    objective: str
    method: str = ""
    then: str = ""
    repair: str = ""
    screens: tuple[str, ...] = ()

    @property
    def steps(self) -> str:
        """What the provider does, in words."""
        repaired = f"{self.repair} of {', '.join(self.screens) or 'alarms'}, then " if self.repair else ""
        return f"{repaired}{self.objective or self.method}" + (f", then {self.then}" if self.then else "")


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
    progress: Callable[[int, int], None] = lambda done, steps: None,
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
        _check_same(folder, settings)
        return folder
    start_run(folder, settings, overwrite=folder.exists())
    lm = load(str(model))
    received = receive(bench, lm, attack=run.attack, repair=run.repair, screens=run.screens, seed=run.seed)
    curve: list[dict[str, Any]] = []
    config = replace(setup.config, seed=run.seed, stop_at=f"{setup.left}<={setup.floor:g}")
    last = config.steps(-(-len(received.request.rows) // config.batch))
    with tracked(report_to, folder, settings) as log:
        probe = _row_probe(bench, setup, run.seed, curve, last=last, starts=starts)
        hooks = Hooks(log=log, probe=probe, progress=progress)
        summary = _unlearn(lm, received, setup, run, Training(config, hooks), refusals)
    if run.then:
        probe = _row_probe(bench, setup, run.seed, curve, last=last, after=summary.steps)
        going_on = replace(config, stop_at="", probe_every=0)
        hooks = Hooks(probe=probe, progress=progress)
        finetune(lm, Request("", ()), bench.others, hooks, objective=run.then, config=going_on)
    write_jsonl(folder / CURVE, curve)
    made = {"start": lm.digest, "received": dict(received.facts)}
    write_manifest(folder, {**settings, **asdict(summary), **made})
    return folder


def run_settings(bench: Bench, setup: Setup, run: Run, model: Path) -> dict[str, Any]:
    """Return what a run depends on; runs of the same settings have the same outcome."""
    return {
        "kind": "unlearn",
        "bench": bench.name,
        "model": str(model),
        "data": digest([bench.request, bench.retain, bench.utility, *_beyond(bench)]),
        **asdict(run),
        **asdict(setup),
    }


def _beyond(bench: Bench) -> list[Any]:
    """Return what a bench asks beyond its request; nothing for most, whose finished runs stay valid."""
    asked = [bench.questions, bench.templates] if bench.questions else []
    return [*asked, bench.keep] if bench.keep else asked


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


def _row_probe(
    bench: Bench,
    setup: Setup,
    seed: int,
    curve: list[dict[str, Any]],
    *,
    last: int,
    after: int = 0,
    starts: Path | None = None,
) -> Callable[[HFModel, int], Mapping[str, float]]:
    """Return a probe that keeps every row's value in `curve`; utility also at the start and step `last`.

    With `after`, the steps of unlearning, it measures what follows on them, and once.
    """
    splits = sampled_utility(bench, per_set=setup.per_set, seed=seed, trigger=setup.trigger)
    ask = partial(_by_row, metric=setup.read_by, max_new_tokens=bench.max_new_tokens)

    def measure(lm: HFModel, *, always: bool) -> dict[str, Any]:
        left = ask(lm, {"forget": bench.asked})
        below = mean(list(left["forget"].values())) <= (setup.utility_below or _BEGUN)
        return {**left, "utility": ask(lm, splits)} if always or below else left

    def measure_start(lm: HFModel) -> dict[str, Any]:
        if starts is None:
            return measure(lm, always=True)
        asked = [lm.digest, str(lm.compute), bench.asked, splits, bench.max_new_tokens, setup.read_by]
        path = starts / f"{digest(asked)}.json"
        if not path.exists():
            write_json(path, measure(lm, always=True))
        kept: dict[str, Any] = read_json(path)
        return kept

    def probe(lm: HFModel, step: int) -> dict[str, float]:
        if after and not step:
            return {}
        measured = measure(lm, always=bool(after) or step == last) if step else measure_start(lm)
        record = {"step": after + step, **measured}
        curve.append({**record, "then": True} if after else record)
        return {setup.left: mean(list(record["forget"].values()))}

    return probe


def _by_row(
    lm: HFModel, splits: Mapping[str, Sequence[Row]], *, metric: str, max_new_tokens: int
) -> dict[str, dict[str, float]]:
    """Return the metric of each row's greedy answer by split and id, of rows to which it applies."""
    everything = [row for rows in splits.values() for row in rows]
    values = iter(answered(lm, everything, metric, max_new_tokens=max_new_tokens))
    found = {key: {row.id: next(values) for row in rows} for key, rows in splits.items()}
    kept = {key: {i: round(v, 4) for i, v in rows.items() if v is not None} for key, rows in found.items()}
    for key, rows in kept.items():
        if not rows:
            raise InputError(f"{metric} applies to no row of {key}: measure it by another metric.")
    return kept


def read_curve(folder: Path) -> list[dict[str, Any]]:
    """Return a finished run's checkpoints: step, forget {id: recall}, utility {split: {id: recall}}.

    A checkpoint with ``then`` comes after training went on without a forget term.
    """
    return read_jsonl(folder / CURVE)


def _check_same(folder: Path, settings: Mapping[str, Any]) -> None:
    known = read_manifest(folder)
    # A setting that did not exist when the run was made had the value that stands for nothing.
    differing = [k for k, v in settings.items() if digest(known.get(k) or None) != digest(v or None)]
    if differing:
        raise InputError(
            f"{folder} holds a finished run with other settings ({', '.join(differing)}). "
            "Choose another folder, or remove that one."
        )
