"""The report of a plan: what its runs show, as one page that opens offline."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from forgetwell.experiments.claims import run_folder
from forgetwell.experiments.plan import Comparison, Plan, cells
from forgetwell.experiments.probing import read_curve
from forgetwell.experiments.reading import END, Claim
from forgetwell.experiments.tables import CELLS, CLAIMS, TABLE, RunReading, Tables, grouped, macro_utility
from forgetwell.files import write_text
from forgetwell.metrics.statistics import Interval
from forgetwell.reports.build import page_environment, page_template
from forgetwell.reports.loading import Probe
from forgetwell.reports.svg import Chart, Panel, Plane, bar_panels, charts, plane
from forgetwell.reports.tables import (
    CLEAN,
    COLUMNS,
    FORGET,
    GAP,
    MAIN,
    SUMMARY,
    TRIGGER,
    Cell,
    Line,
    metric_title,
)
from forgetwell.reports.verdict import Point, number, signed
from forgetwell.runs.records import is_complete

PAGE = "report.html"
_RETURNS, _BEYOND, _HONEST = " returns", " beyond control", "'s clean utility, against honest"
_COLORS = 8
_ALIKE = 0.05  # difference of forget recall within which runs forgot alike
_LEAST = 0.05  # shortest axis of effects, where all are 0
_HALF = 100  # pixels from an effect's zero to the end of its axis
Found = Mapping[str, Claim]
Curve = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Effect:
    """One difference of utility: interval, and the places of its ends and middle on an axis around 0."""

    name: str
    interval: Interval
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Section:
    """One comparison.

    Attributes:
        name: Of the grid's point.
        metric: Title of the metric by which all is read.
        place: Where its runs were read, in words.
        seeds: Of the runs that its intervals are of.
        points: What it shows, in sentences.
        warning: What to beware of, or "".
        lines: A line for each condition.
        effects: Differences with intervals.
        reach: Utility at the end of the effects' axis.
        table: Every reading: condition, place, numbers and number of seeds.
        settings: What each condition was: attack, repair, objective.
    """

    name: str
    metric: str
    place: str
    seeds: tuple[int, ...]
    points: tuple[Point, ...]
    warning: str
    lines: tuple[Line, ...]
    panels: tuple[Panel, ...]
    plane: Plane | None
    charts: tuple[Chart, ...]
    effects: tuple[Effect, ...]
    reach: float
    table: tuple[tuple[str, str, tuple[float, ...], int], ...]
    settings: tuple[tuple[str, str], ...]


def write_page(plan: Plan, tables: Tables, out: Path) -> Path:
    """Write `out`/report.html: for each comparison sentences, tables, bars, effects and curves.

    Utility and intervals are those of `read_claims`, read at the lowest level of forgetting that all runs
    reached, else after the last step. Curves are means over seeds.

    Raises:
        WriteFailed: The disk refused.
    """
    sections = [_section(c, tables, out / c.name) for c in plan.comparisons if _read(tables.cells, c)]
    done = sum(is_complete(run_folder(out / c.name, run)) for c, run in cells(plan))
    page = page_environment().get_template("plan.html.jinja")
    html = page.render(
        plan=plan,
        style=Markup(page_template("style.css")),  # ours, not a run's
        sections=sections,
        done=done,
        planned=len(cells(plan)),
        models=sorted({c.model for c in plan.comparisons}),
        benches=sorted({c.bench for c in plan.comparisons}),
        half=_HALF,
        splits=SUMMARY,
        columns=COLUMNS,
        files=(TABLE, CELLS, CLAIMS),
    )
    write_text(out / PAGE, html)
    return out / PAGE


def _read(readings: Sequence[RunReading], comparison: Comparison) -> list[RunReading]:
    return [r for r in readings if r.comparison == comparison.name]


def _section(comparison: Comparison, tables: Tables, out: Path) -> Section:
    claims, readings = tables.claims.get(comparison.name, ()), _read(tables.cells, comparison)
    metric = comparison.setup.read_by
    at = main_place(claims)
    found = {c.name: c for c in claims if c.at == at}
    curves = _curves(comparison, out)
    colors = {name: k % _COLORS for k, name in enumerate(curves)}
    seeds = next((c.seeds for c in found.values()), ())
    lines = tuple(
        _line(
            metric,
            name,
            colors[name],
            found,
            readings,
            [c for s, c in own.items() if not seeds or s in seeds],
        )
        for name, own in curves.items()
    )
    differences = [c for c in found.values() if _is_difference(c.name)]
    ends = [abs(end) for c in differences for end in (c.interval.low, c.interval.high)]
    reach = max([_LEAST, *ends])
    return Section(
        comparison.name,
        metric_title(metric),
        "after the last step" if at == END else f"where forget recall first passes {at}",
        seeds,
        tuple(_points(found)),
        _warning(lines),
        lines,
        bar_panels(lines),
        plane(lines) if at == END else None,  # at a level all have forgotten equally much
        charts({name: _probes(list(own.values())) for name, own in curves.items()}),
        tuple(_effect(c, reach) for c in differences),
        reach,
        tuple(_table(readings)),
        tuple(_settings(comparison)),
    )


def main_place(claims: Sequence[Claim]) -> str:
    """Return the lowest level at which all was read that is read at the end, else the end."""
    read: dict[str, set[tuple[str, tuple[int, ...]]]] = {}
    for claim in claims:
        if claim.name.startswith("trigger/"):
            read.setdefault(claim.at, set()).add((claim.name, claim.seeds))
    levels = [at for at in read if at != END and read[at] >= read.get(END, set())]
    return min(levels, key=float, default=END)


def _curves(comparison: Comparison, out: Path) -> dict[str, dict[int, Curve]]:
    """Return the curves of each condition's finished runs by seed."""
    found: dict[str, dict[int, Curve]] = {}
    for run in comparison.runs:
        if is_complete(run_folder(out, run)):
            found.setdefault(run.condition, {})[run.seed] = read_curve(run_folder(out, run))
    return found


def _warning(lines: Sequence[Line]) -> str:
    """Return what to beware of where runs did not forget alike."""
    forgets = [line.cells[0].value for line in lines if line.cells[0].value is not None]
    low, high = min(forgets), max(forgets)
    if high - low <= _ALIKE:
        return ""
    return (
        f"These runs did not forget equally much: {number(low)} to {number(high)} of forget recall is left. "
        "Whoever forgets less keeps more, so that their utility can't be compared as it stands."
    )


def _line(
    metric: str,
    condition: str,
    color: int,
    found: Found,
    readings: Sequence[RunReading],
    curves: Sequence[Curve],
) -> Line:
    """Return a condition's numbers: those of the claims, or means over its runs where there are none."""
    ends = [r for r in readings if r.condition == condition and r.at == END]

    def cell(split: str, name: str, value: float | None) -> Cell:
        claim = found.get(f"{name}/{condition}")
        head = ("summary", condition, "", metric, split)
        if claim is None:
            return Cell(*head, value)
        return Cell(*head, claim.interval.value, claim.interval.low, claim.interval.high, claim.interval.n)

    means = {n: statistics.fmean(getattr(r, n) for r in ends) if ends else None for n in ("clean", "trigger")}
    forgotten = found.get(f"forget/{condition}")
    asked = sum(len(curve[-1]["forget"]) for curve in curves)
    last = statistics.fmean(_mean(curve[-1]["forget"]) for curve in curves)
    forget = Cell(
        "summary", condition, "", metric, FORGET, forgotten.interval.value if forgotten else last, n=asked
    )
    clean, trigger = cell(CLEAN, "clean", means["clean"]), cell(TRIGGER, "trigger", means["trigger"])
    both = None if clean.value is None or trigger.value is None else clean.value - trigger.value
    gap = Cell("summary", condition, "", metric, GAP, both, n=min(clean.n, trigger.n))
    return Line(condition, color, (forget, clean, trigger, gap))


def _is_difference(name: str) -> bool:
    """Say whether a claim is a difference of utility over all sets."""
    if name.endswith((", share", "]")) or name.startswith(("forget/", "clean/", "trigger/")):
        return False
    return not name.endswith("'s clean utility")  # the one against the honest run says more


def _effect(claim: Claim, reach: float) -> Effect:
    low, middle, high = (
        round(_HALF * value / reach, 1)
        for value in (claim.interval.low, claim.interval.value, claim.interval.high)
    )
    return Effect(claim.name, claim.interval, low, middle, high)


def _points(found: Found) -> Iterator[Point]:
    """Give what a comparison shows in sentences."""
    taken, share = found.get("attack takes"), found.get("attack takes, share")
    if taken is not None:
        if taken.interval.low > 0 and share is not None:
            yield Point(f"The attack takes {_percent(share.interval)} of trigger utility.", "bad")
        else:
            between = _between(taken.interval)
            yield Point(f"That the attack takes trigger utility is not beyond chance: {between}.", "neutral")
    clean = found.get("attack takes of clean")
    if clean is not None:
        hurts = clean.interval.low > 0
        said = "Clean questions show it too" if hurts else "Clean questions don't show it"
        lost = Interval(-clean.interval.value, -clean.interval.high, -clean.interval.low, clean.interval.n)
        yield Point(f"{said}: {_between(lost)} of clean utility.", "bad" if hurts else "neutral")
    for name in found:
        if name.endswith(_RETURNS):
            yield from _defense(name.removesuffix(_RETURNS), found)


def _defense(who: str, found: Found) -> Iterator[Point]:
    gained, beyond = found[f"{who}{_RETURNS}"].interval, found.get(f"{who}{_BEYOND}")
    text = f"{_capital(who)} returns {_between(gained)} of trigger utility"
    if beyond is not None:
        text += f", {_between(beyond.interval)} beyond the control"
    yield Point(f"{text}.", "good" if gained.low > 0 else "mixed")
    kept = found.get(f"{who}{_HONEST}")
    if kept is not None:
        text = f"Clean utility with {who}, against the honest run: {_between(kept.interval)}."
        yield Point(text, "bad" if kept.interval.high < 0 else "neutral")


def _capital(text: str) -> str:
    """Return a sentence's beginning; names of terms stay as they are written."""
    return text if text == "su" or "_" in text else text[:1].upper() + text[1:]


def _percent(i: Interval) -> str:
    return f"{100 * i.value:.0f} % [{100 * i.low:.0f}, {100 * i.high:.0f}]".replace("-", "−")


def _between(i: Interval) -> str:
    return f"{signed(i.value)} [{number(i.low)}, {number(i.high)}]"


def _probes(curves: Sequence[Curve]) -> tuple[Probe, ...]:
    """Return means over runs at the steps that all of them measured."""
    steps = [{c["step"]: c for c in curve} for curve in curves]
    shared = [step for step in steps[0] if all(step in own for own in steps)]
    return tuple(Probe(step, _measured([own[step] for own in steps])) for step in shared)


def _measured(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    values = {f"forget.{MAIN}": statistics.fmean(_mean(r["forget"]) for r in records)}
    if all(r.get("utility") for r in records):
        for kind, key in (("clean", "utility"), ("trigger", "trigger")):
            values[f"{key}.{MAIN}"] = statistics.fmean(macro_utility(r["utility"], kind) for r in records)
    return values


def _mean(values: Mapping[str, float]) -> float:
    return statistics.fmean(values.values())


def _table(readings: Sequence[RunReading]) -> Iterator[tuple[str, str, tuple[float, ...], int]]:
    for (_, condition, at), group in grouped(readings).items():
        means = tuple(statistics.fmean(getattr(r, n) for r in group) for n in ("forget", "clean", "trigger"))
        yield condition, "after the last step" if at == END else f"forget {at}", means, len(group)


def _settings(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Give each condition once, with what is done in it."""
    for run in {r.condition: r for r in comparison.runs}.values():
        yield run.condition, f"{f'attack {run.attack}' if run.attack else 'honest request'}; {run.steps}"
