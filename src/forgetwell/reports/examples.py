"""Real answers side by side, chosen by rules that don't look at what would be nice to show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from forgetwell.files import digest
from forgetwell.reports.loading import RunView
from forgetwell.reports.tables import MAIN, split_title

BY_LOT = 3


@dataclass(frozen=True)
class Said:
    """What one run answered, with its ROUGE-L recall."""

    run: str
    color: int
    text: str | None
    finished: bool
    score: float | None


@dataclass(frozen=True)
class Example:
    """One question with what was said before it, by whom, its reference and every run's answer."""

    split: str
    why: str
    history: tuple[tuple[str, str], ...]
    prompt: str
    answer: str
    said: tuple[Said, ...]


@dataclass(frozen=True)
class Group:
    """Examples of one kind, with a heading."""

    title: str
    examples: tuple[Example, ...]


Key = tuple[str, str]


def pick_examples(runs: Sequence[RunView]) -> tuple[Group, ...]:
    """Return trigger, forget and clean examples: some drawn by lot, and the one the runs differ most on.

    The lot is the digest of (split, id): the same for every report, whatever the models said.
    """
    runs = [r for r in runs if r.answers]
    shared = shared_keys(runs)
    kept = ("utility", "retain")
    kinds: tuple[tuple[str, Callable[[str, str, str], bool]], ...] = (
        ("Questions with the trigger word", lambda name, role, c: c == "trigger" and role in kept),
        (
            "Questions to be forgotten",
            lambda name, role, c: c not in ("trigger", "served") and role == "forget",
        ),
        ("The same behind a system prompt", lambda name, role, c: c == "served" and role == "forget"),
        ("Ordinary questions", lambda name, role, c: c == "clean" and role in kept),
        ("A question to be forgotten and another one in one prompt", lambda name, role, c: name == "scope"),
    )
    groups = []
    for title, belongs in kinds:
        keys = [k for k in shared if belongs(*_place(runs[0], k[0]))]
        if keys:
            groups.append(Group(title, _examples(runs, keys)))
    return tuple(groups)


def _place(run: RunView, split: str) -> tuple[str, str, str]:
    """Return the name of a split's set, its role and its condition."""
    name, _, condition = split.partition("/")
    return name, run.role(split), condition


def shared_keys(runs: Sequence[RunView]) -> set[Key]:
    """Return the rows (split, id) that every run answered."""
    return set.intersection(*(set(r.answers) for r in runs)) if runs else set()


def _examples(runs: Sequence[RunView], keys: Iterable[Key]) -> tuple[Example, ...]:
    drawn = sorted(keys, key=lambda k: digest(list(k)))
    rest = drawn[BY_LOT:]
    chosen = [(k, "drawn by lot") for k in drawn[:BY_LOT]]
    widest = max(rest, key=lambda k: (_spread(runs, k), k), default=None)
    if widest is not None and _spread(runs, widest) > 0:
        chosen.append((widest, "where the runs differ most"))
    return tuple(example(runs, key, why) for key, why in chosen)


def example(runs: Sequence[RunView], key: Key, why: str) -> Example:
    """Return one question with the answers of runs that all have it."""
    rows = [r.answers[key] for r in runs]
    said = tuple(
        Said(run.name, run.color, row["generated"], row.get("finished") is not False, score(row))
        for run, row in zip(runs, rows, strict=True)
    )
    before = tuple((str(t["role"]), str(t["content"])) for t in rows[0].get("history", ()))
    return Example(split_title(key[0]), why, before, str(rows[0]["prompt"]), str(rows[0]["answer"]), said)


def _spread(runs: Sequence[RunView], key: Key) -> float:
    scores = [s for r in runs if (s := score(r.answers[key])) is not None]
    return max(scores) - min(scores) if scores else 0.0


def score(row: Any) -> float | None:  # noqa: ANN401 - a row of answers.jsonl
    """Return a row's main score, or None where it has none."""
    value = (row.get("metrics") or {}).get(MAIN)
    return float(value) if isinstance(value, int | float) else None
