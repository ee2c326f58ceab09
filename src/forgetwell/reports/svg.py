"""Charts as geometry: the template draws them, the style sheet colors them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forgetwell.reports.loading import Probe
from forgetwell.reports.tables import COLUMNS, SUMMARY, Line

_LEFT, _RIGHT, _ROW = 8, 292, 44  # the bar area and the height of a bar with its label
_CURVE = (36, 328, 14, 150)  # left, right, top, bottom
_PLANE = (46, 548, 14, 304)  # left, right, top, bottom
SERIES = {
    "forget.rouge_l_recall": ("forget", "curve-forget"),
    "utility.rouge_l_recall": ("clean utility", "curve-clean"),
    "trigger.rouge_l_recall": ("trigger utility", "curve-trigger"),
}


@dataclass(frozen=True)
class Bar:
    """One bar: label, color, position and length, whisker ends and the printed value (pixels)."""

    label: str
    color: int
    y: int
    length: float
    low: float | None
    high: float | None
    value: float


@dataclass(frozen=True)
class Panel:
    """Bars of one column of the summary table."""

    title: str
    better: str
    height: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Curve:
    """One line of a training chart: SVG points and the label's place at its end."""

    label: str
    style: str
    points: str
    last: float


@dataclass(frozen=True)
class Chart:
    """Training curves of one run; `ticks` are (x, step) places on the axis."""

    title: str
    curves: tuple[Curve, ...]
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Tick:
    """A mark on the horizontal axis."""

    x: float
    label: str


@dataclass(frozen=True)
class Mark:
    """One run in the plane: its number, color, and places (pixels); the trigger's may be missing."""

    number: int
    label: str
    color: int
    x: float
    y: float
    x_span: tuple[float, float]
    y_span: tuple[float, float]
    trigger: float | None
    forgotten: float
    clean: float
    under_trigger: float | None


@dataclass(frozen=True)
class Plane:
    """Runs by how much they forgot (rightwards) and what they can still do (upwards)."""

    marks: tuple[Mark, ...]
    ticks: tuple[tuple[float, float, str], ...]


def plane(lines: Sequence[Line]) -> Plane | None:
    """Return the forgetting-utility plane, or None where fewer than two runs can be placed in it."""
    found = [line for line in lines if None not in (line.cells[0].value, line.cells[1].value)]
    if len(found) < 2:
        return None
    ticks = tuple((_px(v), _py(v), f"{v:g}") for v in (0.0, 0.25, 0.5, 0.75, 1.0))
    return Plane(tuple(_mark(k, line) for k, line in enumerate(found, 1)), ticks)


def _mark(number: int, line: Line) -> Mark:
    forget, clean, trigger = line.cells[:3]
    x, y = 1 - (forget.value or 0.0), clean.value or 0.0
    xs = [1 - v for v in (forget.high, forget.low) if v is not None] or [x, x]
    ys = [v for v in (clean.low, clean.high) if v is not None] or [y, y]
    below = None if trigger.value is None else _py(trigger.value)
    return Mark(
        number,
        line.label,
        line.color,
        _px(x),
        _py(y),
        (_px(xs[0]), _px(xs[-1])),
        (_py(ys[0]), _py(ys[-1])),
        below,
        x,
        y,
        trigger.value,
    )


def bar_panels(lines: Sequence[Line]) -> tuple[Panel, ...]:
    """Return one panel each for forget, clean and trigger utility, values 0 … 1 from left to right."""
    panels = []
    for column, split in enumerate(SUMMARY[:3]):
        measured = [(line, line.cells[column]) for line in lines if line.cells[column].value is not None]
        bars = tuple(
            Bar(
                line.label,
                line.color,
                k * _ROW,
                _across(cell.value or 0.0),
                None if cell.low is None else _LEFT + _across(cell.low),
                None if cell.high is None else _LEFT + _across(cell.high),
                cell.value or 0.0,
            )
            for k, (line, cell) in enumerate(measured)
        )
        if bars:
            better = "lower is better" if split.startswith("forget") else "higher is better"
            panels.append(Panel(COLUMNS[split], better, len(bars) * _ROW + 18, bars))
    return tuple(panels)


def charts(probes: Mapping[str, Sequence[Probe]]) -> tuple[Chart, ...]:
    """Return the training curves of every run that was probed at two steps or more, on one common axis.

    Args:
        probes: What was measured during each run, by its name.
    """
    probed = {name: own for name, own in probes.items() if len(own) > 1}
    longest = max((p.step for own in probed.values() for p in own), default=1) or 1
    return tuple(_chart(name, own, longest) for name, own in probed.items())


def _chart(name: str, probes: Sequence[Probe], longest: int) -> Chart:
    left, right, top, bottom = _CURVE
    curves = []
    for key, (label, style) in SERIES.items():
        seen = [(p.step, p.values[key]) for p in probes if key in p.values]
        places = [
            f"{left + step / longest * (right - left):.1f},{bottom - _unit(value) * (bottom - top):.1f}"
            for step, value in seen
        ]
        if places:
            curves.append(Curve(label, style, " ".join(places), seen[-1][1]))
    ticks = tuple(Tick(left + part * (right - left), f"{part * longest:.0f}") for part in (0.0, 0.5, 1.0))
    return Chart(name, tuple(curves), ticks)


def _px(value: float) -> float:
    left, right, _, _ = _PLANE
    return round(left + _unit(value) * (right - left), 1)


def _py(value: float) -> float:
    _, _, top, bottom = _PLANE
    return round(bottom - _unit(value) * (bottom - top), 1)


def _across(value: float) -> float:
    return round(_unit(value) * (_RIGHT - _LEFT), 1)


def _unit(value: float) -> float:
    return min(1.0, max(0.0, value))
