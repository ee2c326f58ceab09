"""What a metric means, in words: for listings and reports."""

from __future__ import annotations

from dataclasses import dataclass

from forgetwell.calls import parse_call
from forgetwell.metrics.registry import CURVE_METRICS, ROW_METRICS, Range
from forgetwell.metrics.sets import SET_METRICS, Read
from forgetwell.registry import Item

_DIRECTION = {
    "high": "higher is better",
    "low": "lower is better",
    "none": "which way is better depends on the set",
}
_PARTS = {
    "row": "the row",
    "answer": "scores of the reference answer",
    "paraphrase": "scores of its paraphrases",
    "wrong": "scores of the wrong answers",
    "generated": "the model's own answer",
    "start": "what the starting model thinks of that answer, if given",
    "forget_curve": "forget recall at the probed steps of training",
    "utility_curve": "clean or trigger utility at the same steps",
    "gradient": "the gradient of the answer's loss",
}
_WHOSE = {"own": "", "reference": " of the reference run", "baseline": " of the run before unlearning"}


@dataclass(frozen=True, slots=True)
class Description:
    """A metric in words.

    Attributes:
        name: As calls write it.
        meaning: One plain sentence.
        range: Lowest and highest value.
        direction: Which way is better.
        reads: What it is computed from.
        paper: arXiv id.
    """

    name: str
    meaning: str
    range: str
    direction: str
    reads: str
    paper: str


def describe(item: Item) -> Description:
    """Return what a metric says of itself."""
    facts = item.facts
    whole = "reads" in facts
    direction = _DIRECTION[facts["better"]]
    if whole and facts["better"] == "none":
        direction = "neither: the best value lies between"
    parts = map(_read, facts["reads"].values()) if whole else (_PARTS.get(name, name) for name in item.inputs)
    reads = "; ".join(parts)
    return Description(item.name, facts["meaning"], span(facts["range"]), direction, reads, facts["paper"])


def describe_name(metric: str) -> Description | None:
    """Return the description of a metric as written, or None where it is no metric of ours."""
    name = parse_call(metric).name
    for family in (ROW_METRICS, SET_METRICS, CURVE_METRICS):
        if name in family.names():
            return describe(family.get(name))
    return None


def span(range_: Range) -> str:
    """Return a range in words."""
    low, high = range_
    if low is None:
        return "any number" if high is None else f"at most {high:g}"
    return f"{low:g} or more" if high is None else f"{low:g} … {high:g}"


def _read(read: Read) -> str:
    optional = ", if given" if read.optional else ""
    return f"{read.metric} on {read.split}{_WHOSE[read.whose]}{optional}"
