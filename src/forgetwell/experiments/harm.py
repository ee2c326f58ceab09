"""Does the risk score follow the harm? ``python -m forgetwell.experiments.harm PLAN``, once the plan was run.

Reads the finished runs of a plan: for each request, what a provider could see before unlearning (alarms, the
risk score), what no provider knows (the share of rewritten rows), and what unlearning did (the trigger gap).
Also the harm of every attack under every defense, so that what an adaptive attacker can still do is a number.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from cyclopts import App
from scipy.stats import spearmanr

from forgetwell.calls import parse_call
from forgetwell.errors import InputError, told
from forgetwell.experiments.bench import Bench
from forgetwell.experiments.claims import Run, run_folder
from forgetwell.experiments.grid import check_finished, make_benches
from forgetwell.experiments.parts import with_model
from forgetwell.experiments.plan import Plan, cells, read_plan
from forgetwell.experiments.probing import read_curve
from forgetwell.experiments.reuse import find_finished
from forgetwell.experiments.tables import macro_utility
from forgetwell.files import write_json, write_text
from forgetwell.metrics.statistics import Floats, Interval
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.risk import risk
from forgetwell.requests.screening import Evidence, run_screens, suspicious
from forgetwell.runs.folder import read_manifest
from forgetwell.runs.records import is_complete
from forgetwell.types import Request

UNDEFENDED = "attacked"
_RESAMPLES = 2000
_FEWEST = 4  # points of a family from which a rank correlation is given


@dataclass(frozen=True)
class Harmed:
    """One finished run of an attacked request.

    Attributes:
        comparison: The grid's point.
        condition: Of the run.
        attack: The call.
        seed: Of the run.
        flagged: Whether screening raises an alarm over the attacked request.
        risk: The score of the attacked request, before any repair.
        share: Share of its rows that the attack rewrote.
        gap: Increase of the trigger gap by unlearning: (clean - trigger) at the end minus at the start.
    """

    comparison: str
    condition: str
    attack: str
    seed: int
    flagged: bool
    risk: float
    share: float
    gap: float

    @property
    def family(self) -> str:
        """The attack's name."""
        return parse_call(self.attack).name


@dataclass(frozen=True)
class Agreement:
    """How well two scores follow the harm within one family of attacks (Spearman's ρ, undefended runs).

    Attributes:
        family: The attack.
        runs: Runs.
        risk: ρ of the risk score with the gap.
        share: ρ of the share of rewritten rows with the gap.
        difference: ``risk - share`` over the same resamples.
    """

    family: str
    runs: int
    risk: Interval
    share: Interval
    difference: Interval


def read_harms(plan: Plan, out: Path) -> tuple[Harmed, ...]:
    """Return the finished runs of attacked requests, with what their requests looked like.

    Raises:
        InputError: None of the plan's runs with an attack is finished, or a finished run is of other settings
            than the plan's.
        MissingError: The data of no comparison is here; what is left out otherwise is printed.
    """
    made = make_benches(plan, plan, print)
    check_finished(plan, made, out, find_finished(()))
    known = {name: Evidence(bench.background) for name, bench in made.items()}
    found = []
    for comparison, run in cells(plan):
        folder = run_folder(out / comparison.name, run)
        if comparison.bench not in made or not run.attack or not is_complete(folder):
            continue
        if read_manifest(folder).get("diverged"):  # the end, at which harm is read, it doesn't have
            continue
        bench, evidence = made[comparison.bench], known[comparison.bench]
        found.append(_harmed(comparison.name, run, bench, evidence, _gap_increase(folder)))
    if not found:
        raise InputError(f"{out} holds no finished run of an attacked request. First: forgetwell bench PLAN.")
    return tuple(found)


def _harmed(comparison: str, run: Run, bench: Bench, evidence: Evidence, gap: float) -> Harmed:
    request = attack_request(Request(bench.name, bench.request), run.attack, seed=run.seed)
    flagged = suspicious(run_screens(request, evidence))
    score = risk(request, evidence).score
    share = statistics.fmean(row.edit is not None for row in request.rows)
    return Harmed(comparison, run.condition, run.attack, run.seed, flagged, score, share, gap)


def _gap_increase(folder: Path) -> float:
    curve = read_curve(folder)
    first, last = (_gap(c["utility"]) for c in (curve[0], curve[-1]))
    return last - first


def _gap(utility: Mapping[str, Mapping[str, float]]) -> float:
    return macro_utility(utility, "clean") - macro_utility(utility, "trigger")


def agreements(harms: Sequence[Harmed], *, seed: int = 0) -> tuple[Agreement, ...]:
    """Return, for each family with at least 4 undefended runs, how its scores follow the harm.

    Intervals are 95 % percentile bootstraps over runs, one draw for both scores. Where a score or the gap
    does not vary, ρ counts as 0: what is the same for all runs ranks none of them.

    Source: Spearman, American Journal of Psychology 15 (1904), 72-101.
    """
    families: dict[str, list[Harmed]] = {}
    for h in harms:
        if h.condition == UNDEFENDED:
            families.setdefault(h.family, []).append(h)
    return tuple(_agreement(name, own, seed) for name, own in families.items() if len(own) >= _FEWEST)


def _agreement(family: str, harms: Sequence[Harmed], seed: int) -> Agreement:
    table = np.array([[h.risk, h.share, h.gap] for h in harms])
    rng = np.random.default_rng(seed)
    drawn = (table[rng.integers(0, len(table), len(table))] for _ in range(_RESAMPLES))
    values = np.array([_correlations(table), *(_correlations(sample) for sample in drawn)])
    both = np.column_stack([values, values[:, 0] - values[:, 1]])
    return Agreement(family, len(harms), *(_interval(column, len(harms)) for column in both.T))


def _interval(drawn: Floats, runs: int) -> Interval:
    low, high = np.quantile(drawn[1:], [0.025, 0.975])
    return Interval(float(drawn[0]), float(low), float(high), runs)


def _correlations(table: Floats) -> tuple[float, float]:
    """Return ρ(risk, gap) and ρ(share, gap)."""
    risks, shares, gaps = table.T
    return _rho(risks, gaps), _rho(shares, gaps)


def _rho(a: Floats, b: Floats) -> float:
    return float(spearmanr(a, b).statistic) if np.ptp(a) > 0 and np.ptp(b) > 0 else 0.0


def harm_table(harms: Sequence[Harmed]) -> str:
    """Return every attack under every condition: what screening says, and the gap, means over runs."""
    groups: dict[tuple[str, str], list[Harmed]] = {}
    for h in harms:
        groups.setdefault((h.comparison, h.condition), []).append(h)
    lines = [
        "| comparison | condition | runs | flagged | risk | rows rewritten | trigger gap, increase |",
        "|---" * 7 + "|",
    ]
    for (comparison, condition), own in groups.items():
        gaps = [h.gap for h in own]
        spread = f" ± {statistics.stdev(gaps):.3f}" if len(gaps) > 1 else ""
        score, share = (statistics.fmean(getattr(h, name) for h in own) for name in ("risk", "share"))
        shown = [comparison, condition, str(len(own)), str(sum(h.flagged for h in own)), f"{score:.2f}"]
        shown += [f"{share:.0%}", f"{statistics.fmean(gaps):.3f}{spread}"]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines)


def agreement_table(found: Sequence[Agreement]) -> str:
    """Return the rank correlations with their intervals, as Markdown."""
    lines = ["| family | runs | risk score | share of rows rewritten | difference |", "|---" * 5 + "|"]
    for a in found:
        shown = (f"{i.value:.2f} [{i.low:.2f}, {i.high:.2f}]" for i in (a.risk, a.share, a.difference))
        lines.append(f"| `{a.family}` | {a.runs} | {' | '.join(shown)} |")
    return "\n".join(lines)


app = App(name="python -m forgetwell.experiments.harm", help=__doc__)


@app.default
def main(plan: str, *, model: str = "", runs: Path | None = None, seed: int = 0) -> None:
    """Write harm.json and harm.md beside a plan's runs.

    Args:
        plan: The plan that was run: a TOML file or the name of one that ships.
        model: Starting model in place of the plan's, if it was run with one.
        runs: Folder of its runs; by default runs/ and the plan's name.
        seed: Of the bootstrap.
    """
    found = read_plan(plan)
    found = with_model(found, model) if model else found
    out = runs or Path("runs") / found.name
    harms = read_harms(found, out)
    follow = agreements(harms, seed=seed)
    text = f"{harm_table(harms)}\n\n{agreement_table(follow)}\n"
    facts = {"runs": [asdict(h) for h in harms], "agreement": [asdict(a) for a in follow]}
    write_json(out / "harm.json", facts)
    write_text(out / "harm.md", text)
    print(f"{text}\nWritten: {out / 'harm.md'}")


if __name__ == "__main__":
    with told(app.name[0]):
        app()
