"""Finding learning rate and weights for a model and a request by successive halving on the probe."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from forgetwell.calls import Weighted, parse_sum
from forgetwell.errors import Diverged, ExistsError, InputError
from forgetwell.files import digest, read_json, read_jsonl, write_json
from forgetwell.metrics.matched import read_at
from forgetwell.objectives.registry import TERMS
from forgetwell.runs.folder import LOG, STARTED, is_done, is_run, read_manifest, start_run
from forgetwell.runs.job import Job
from forgetwell.runs.jobs import check_job, run_job
from forgetwell.training.parallel import asked_kind
from forgetwell.types import Progress, quiet

TRIALS = "trials.json"
FORGET, _CLEAN, _TRIGGER = (f"{part}.rouge_l_recall" for part in ("forget", "utility", "trigger"))


@dataclass(frozen=True)
class Search:
    """What is tried.

    Attributes:
        trials: Settings tried in the first round; each next round keeps the better half at twice the steps.
        level: Forget ROUGE-L recall at which utility is compared, 0 … 1.
        lr_factor: The learning rate is drawn within this factor of the given one, up and down.
        weight_factor: The same for the coefficients of all terms that don't forget.
        seed: Of the draws.
    """

    trials: int = 8
    level: float = 0.4
    lr_factor: float = 5.0
    weight_factor: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that can't be meant."""
        if self.trials < 2:
            raise InputError(f"{self.trials} trials were given; at least 2 can be compared.")
        if not 0 < self.level < 1:
            raise InputError(f"level is {self.level}; it is a recall between 0 and 1.")
        if min(self.lr_factor, self.weight_factor) < 1:
            raise InputError("A factor of less than 1 was given; 1 keeps the value as it is.")


@dataclass(frozen=True)
class Trial:
    """One setting after its last round.

    Attributes:
        number: Of the setting; 0 = as given.
        lr: Learning rate.
        objective: With the drawn weights.
        steps: Of its last round.
        probe: The last probe's values.
        utility: Mean of clean and trigger utility where forgetting reaches the level; None = it doesn't.
        lowest: Least forget recall of any probe.
        diverged: Whether training diverged, whatever its probes had measured before.
    """

    number: int
    lr: float
    objective: str
    steps: int
    probe: Mapping[str, float]
    utility: float | None
    lowest: float
    diverged: bool = False

    @property
    def rank(self) -> tuple[bool, bool, float, int]:
        """Sort key, best last: not diverging, reaching the level, utility there (else forgetting), number."""
        reached = self.utility is not None
        value = self.utility if self.utility is not None else -self.lowest
        return not self.diverged, reached, value, -self.number


def tune(
    job: Job,
    search: Search,
    out: str | Path,
    *,
    progress: Progress = quiet,
    overwrite: bool = False,
) -> tuple[Trial, ...]:
    """Try settings of an unlearning job by successive halving; return all trials, the best first.

    Trial 0 is the job as given. Round k trains the settings left for ``steps / 2^(rounds - k)`` steps, each
    from the starting model in a folder of its own; finished ones are reused, so an interrupted search goes
    on. The winner's folder holds the log of the very run that ``unlearn`` with its settings makes.

    Args:
        job: The unlearning job, with probe rows.
        search: What is tried.
        out: Folder for all trials and ``trials.json``.
        progress: Called with (finished steps, all steps).
        overwrite: Replace a search of other settings.

    Raises:
        InputError: The job has no probe, forgets as much as asked for before the first step, or several
            processes were started.
        ExistsError: `out` holds something else.

    Source: successive halving, Jamieson and Talwalkar, arXiv 1502.07943; the score is ours.
    """
    if asked_kind() != "single":
        raise InputError("Tuning runs in one process; start it without a launcher.")
    if not job.probe:
        raise InputError("Tuning reads the probe; give rows to keep that it asks.")
    check_job(_budgeted(job, 1))
    out = Path(out)
    settings = {"kind": "tune", "job": job.settings, "search": asdict(search)}
    _start(out, settings, job.model, overwrite=overwrite)
    left = list(enumerate(_settings(job, search)))
    plan = _rounds(job, search)
    total, done = sum(count * steps for count, steps in plan), 0
    ranked: dict[int, Trial] = {}
    for k, (count, steps) in enumerate(plan):
        left = sorted(left, key=lambda pair: ranked[pair[0]].rank if ranked else (), reverse=True)[:count]
        for number, setting in sorted(left, key=lambda pair: pair[0]):
            folder = out / f"round-{k}" / f"trial-{number:02}"
            advance = partial(_advance, progress, done, total)
            ranked[number] = _try(number, _budgeted(setting, steps), search, folder, advance)
            done += steps
    found = sorted(ranked.values(), key=lambda t: (not t.diverged, t.steps, t.rank), reverse=True)
    write_json(out / TRIALS, found)
    return tuple(found)


def _rounds(job: Job, search: Search) -> list[tuple[int, int]]:
    """Return how many settings each round trains, and for how many steps."""
    steps = job.config.steps(-(-len(job.request.rows) // job.config.batch))
    rounds = math.ceil(math.log2(search.trials))
    return [
        (math.ceil(search.trials / 2**k), max(1, round(steps / 2 ** (rounds - 1 - k)))) for k in range(rounds)
    ]


def _advance(progress: Progress, before: int, total: int, done: int, steps: int) -> None:
    progress(before + done, total)


def _start(out: Path, settings: Mapping[str, object], model: str, *, overwrite: bool) -> None:
    other = (out / STARTED).is_file() and digest(read_json(out / STARTED)) != digest(settings)
    if other and not overwrite:
        raise ExistsError(f"{out} holds a run of other settings. Choose another --out or add --overwrite.")
    start_run(out, settings, overwrite=other, resume=not other, reads=[model])


def _settings(job: Job, search: Search) -> list[Job]:
    """Return the jobs to try, decided by the search's seed alone."""
    stream = random.Random(f"{search.seed}/tune")
    jobs = [job]
    while len(jobs) < search.trials:
        lr = float(f"{job.config.lr * _factor(stream, search.lr_factor):.2g}")
        terms = [_drawn(w, stream, search.weight_factor) for w in parse_sum(job.objective)]
        objective = " + ".join(map(str, terms))
        jobs.append(replace(job, objective=objective, config=replace(job.config, lr=lr)))
    return jobs


def _drawn(weighted: Weighted, stream: random.Random, factor: float) -> Weighted:
    if TERMS.get(weighted.call.name).facts["side"] == "forget":
        return weighted
    drawn = float(f"{weighted.coefficient * _factor(stream, factor):.2g}")
    return replace(weighted, coefficient=drawn)


def _factor(stream: random.Random, factor: float) -> float:
    return math.exp(stream.uniform(-math.log(factor), math.log(factor)))


def _budgeted(job: Job, steps: int) -> Job:
    """Return the job cut to a round's steps, with about five probes; no trial keeps the request's text."""
    config = replace(job.config, max_steps=steps, probe_every=max(1, steps // 4))
    return replace(job, config=config, redact=True)


def _try(number: int, job: Job, search: Search, folder: Path, progress: Progress) -> Trial:
    diverged = False
    if not is_done(folder, job.settings):
        try:
            run_job(job, folder, progress=progress, overwrite=is_run(folder), save=False)
        except Diverged:
            diverged = True
    diverged = diverged or read_manifest(folder).get("diverged", False)
    return replace(read_trial(number, job, search.level, read_jsonl(folder / LOG)), diverged=diverged)


def read_trial(number: int, job: Job, level: float, log: Sequence[Mapping[str, object]]) -> Trial:
    """Return what a trial's log says of it.

    Raises:
        InputError: The starting model is at or below the level already.
    """
    probes: list[Mapping[str, float]] = [r["probe"] for r in log if "probe" in r]  # type: ignore[misc]
    forget = [p[FORGET] for p in probes]
    if forget[0] <= level:
        raise InputError(
            f"The starting model's forget recall is {forget[0]:.2f}, not above the level {level}: there is "
            "nothing to tune. Choose a lower --level."
        )
    place = read_at(forget, level)
    utility = None if place is None else place.of([(p[_CLEAN] + p[_TRIGGER]) / 2 for p in probes])
    steps = job.config.max_steps
    return Trial(number, job.config.lr, job.objective, steps, probes[-1], utility, min(forget))
