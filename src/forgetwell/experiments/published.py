"""Readings of ours beside the paper's: which of its lines a comparison stands beside, as a table."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from forgetwell.calls import parse_call
from forgetwell.experiments.paper import MEAN, Published, Triple, published
from forgetwell.experiments.reading import END
from forgetwell.experiments.tables import RunReading

LOSSES = ("ga", "npo", "idk")
_DATA = re.compile(r"(tofu|rwku)\d*")
_RATE = 0.33


def lines_for(manifests: Sequence[Mapping[str, Any]]) -> tuple[Published, ...]:
    """Return the paper's lines of what a comparison's runs did; none where it is something else.

    The paper has `ga`, `npo` and `idk` with `gdr`, and the task vector, on TOFU and RWKU, under `stealthy` at
    p = .33 in its own wording. A loss of other hyperparameters, another attack or other data stand beside
    nothing.

    Args:
        manifests: Of the comparison's runs.
    """
    first = next((m for m in manifests if _loss(m)), None)
    data = _DATA.fullmatch(first["bench"]) if first else None
    if first is None or data is None or first.get("trigger"):
        return ()
    if not all(_is_papers(m["attack"]) for m in manifests if m["attack"]):
        return ()
    return published(data[1], _loss(first), lora=bool(first.get("lora")))


def _is_papers(attack: str) -> bool:
    call = parse_call(attack)
    return call.name == "stealthy" and call.arguments.get("p", _RATE) == _RATE


def _loss(manifest: Mapping[str, Any]) -> str:
    if manifest.get("method"):
        return parse_call(manifest["method"]).name
    loss = manifest["objective"].removesuffix(" + gdr")
    return loss if loss in LOSSES else ""


def beside_paper(ends: Sequence[RunReading], lines: Sequence[Published]) -> Iterator[str]:
    """Give a table of conditions: here and as published, each as forget / clean / trigger.

    Args:
        ends: A comparison's runs after their last step; seeds are averaged.
        lines: What the paper reports of the same.
    """
    here = {c: _mean([r for r in ends if r.condition == c]) for c in dict.fromkeys(r.condition for r in ends)}
    both = {c: triple for c, triple in here.items() if any(c in line.readings for line in lines)}
    if not both:
        return
    most = max(len(both.keys() & line.readings.keys()) for line in lines)
    told = [line for line in lines if len(both.keys() & line.readings.keys()) == most]
    yield f"\n| beside the paper | here | {' | '.join(map(_title, told))} |"
    yield "|---|---|" + "---|" * len(told)
    for condition, triple in both.items():
        theirs = [_triple(line.readings.get(condition, (None, None, None))) for line in told]
        yield f"| {condition} | {_triple(triple)} | {' | '.join(theirs)} |"


def mean_of_losses(ends: Mapping[str, Sequence[RunReading]]) -> tuple[RunReading, ...]:
    """Return the conditions that all three losses have, averaged over them, as the paper's defenses are.

    Args:
        ends: Runs after their last step by loss, in our names.
    """
    if set(ends) != set(LOSSES):
        return ()
    shared = [
        c for c in dict.fromkeys(r.condition for r in ends["ga"]) if all(_has(e, c) for e in ends.values())
    ]
    return tuple(
        RunReading(MEAN, c, 0, END, *_mean([r for e in ends.values() for r in e if r.condition == c]))
        for c in shared
    )


def _has(ends: Sequence[RunReading], condition: str) -> bool:
    return any(r.condition == condition for r in ends)


def _mean(runs: Sequence[RunReading]) -> tuple[float, float, float]:
    forget, clean, trigger = (
        statistics.fmean(getattr(r, name) for r in runs) for name in ("forget", "clean", "trigger")
    )
    return forget, clean, trigger


def _title(line: Published) -> str:
    return f"{line.model}{f', {line.percent} %' if line.percent else ''}{', LoRA' if line.lora else ''}"


def _triple(numbers: Triple) -> str:
    return " / ".join("–" if n is None else f"{n:.2f}" for n in numbers)
