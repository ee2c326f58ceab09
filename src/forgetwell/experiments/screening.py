"""How well screens tell attacked from honest requests: ``python -m forgetwell.experiments.screening``.

Subjects are divided anew into background and requests, split by split, inside one half of the data, and the
splits pooled. Settings are chosen on the development half. The report half shares no subject with it, and its
attacks have other words, forms, languages and phrasings.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import App, Parameter

from forgetwell.errors import told
from forgetwell.experiments.screening_attacks import families_of, open_split
from forgetwell.experiments.screening_data import (
    Half,
    Material,
    as_users_write,
    honest_requests,
    politely,
)
from forgetwell.experiments.screening_figures import (
    ScoredRequest,
    cell,
    cell_record,
    cell_table,
    flagged,
    honest_table,
    interval_table,
    roc_points,
)
from forgetwell.files import write_json, write_text
from forgetwell.requests.kept_texts import keeping_texts
from forgetwell.requests.screening import SCREENS, Evidence, run_screens
from forgetwell.requests.screens.foreign_answer import foreign_answer
from forgetwell.requests.screens.foreign_subject import foreign_subject
from forgetwell.requests.screens.inflation import inflated
from forgetwell.requests.screens.mixed_casing import mixed_casing
from forgetwell.requests.screens.strange_words import strange_words
from forgetwell.requests.screens.surprise import surprised
from forgetwell.requests.screens.templates import mined
from forgetwell.types import Finding, Request

RATES = (0.02, 0.05, 0.1, 0.2, 0.33)
_ORDINARY, _MIXED, _POLITE = "ordinary", "with as many polite rows as the background", "polite throughout"


@dataclass(frozen=True)
class Asked:
    """What is measured of each split.

    Attributes:
        honest: Ordinary honest requests, and as many that mix writers; a fifth as many polite ones.
        attacked: Attacked requests of each family and rate.
        families: The attacks.
        rates: Their p.
        polite: Share of polite prompts in the background.
        form: What rows are.
    """

    honest: int
    attacked: int
    families: Sequence[str]
    rates: Sequence[float]
    polite: float
    form: Material = "questions"


@dataclass(frozen=True)
class Measured:
    """Scores of one split: honest requests by group, attacked ones by family and rate."""

    honest: Mapping[str, Sequence[ScoredRequest]]
    attacked: Mapping[tuple[str, float], Sequence[ScoredRequest]]


def score_request(request: Request, evidence: Evidence) -> ScoredRequest:
    """Return a request's scores: of each screen, the smallest adjusted p-value before any threshold."""
    p_values = {
        "inflation": [h.q_value for h in inflated(request, evidence)],
        "templates": [h.q_value for h in mined(request, evidence)],
        "surprise": [test.p_value for test in surprised(request, evidence)],
        "strange_words": _p_values(strange_words(request, evidence, alpha=1.0)),
        "mixed_casing": _p_values(mixed_casing(request, evidence, alpha=1.0)),
        "foreign_answer": _p_values(foreign_answer(request, evidence, alpha=1.0)),
        "foreign_subject": _p_values(foreign_subject(request, evidence, alpha=1.0)),
    }
    alarms = dict.fromkeys(f.screen for f in run_screens(request, evidence) if f.severity == "alarm")
    rewritten = sum(row.edit is not None for row in request.rows)
    return ScoredRequest({n: _score(p, _level(n)) for n, p in p_values.items()}, tuple(alarms), rewritten)


@keeping_texts()
def measure(half: Half, split: int, out: Path, asked: Asked) -> Measured:
    """Score honest and attacked requests of one split."""
    lots, evidence = open_split(half, split, out, polite=asked.polite, form=asked.form)
    rng = random.Random(f"{half}/{split}")

    def honest(count: int, worded: Callable[[Request], Request]) -> list[ScoredRequest]:
        return [score_request(worded(r), evidence) for _, r in honest_requests(lots.pool, count, rng)]

    def mixed(request: Request) -> Request:
        return replace(request, rows=as_users_write(request.rows, rng, polite=asked.polite))

    groups = {_ORDINARY: honest(asked.honest, lambda r: r)}
    if asked.form == "questions":
        groups[_MIXED] = honest(asked.honest, mixed)
        groups[_POLITE] = honest(asked.honest // 5, lambda r: politely(r, rng))
    found = {
        (family, rate): [
            score_request(r.attacked, evidence) for r in lots.requests(family, rate, asked.attacked)
        ]
        for family in asked.families
        for rate in asked.rates
    }
    return Measured(groups, found)


app = App(name="python -m forgetwell.experiments.screening", help=__doc__)


@app.default
def main(
    *, out: Path = Path("runs/screening"), half: Half = "report", splits: int = 6, first_split: int = 1,
    honest: int = 150, attacked: int = 30, polite_background: float = 0.05,
    families: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    rates: Annotated[list[float] | None, Parameter(consume_multiple=True, negative="")] = None,
    form: Material = "questions",
) -> None:  # fmt: skip
    """Measure the screens and write cells.json and cells.md.

    Args:
        out: Folder for the results.
        half: report, or development to choose settings on.
        splits: How often subjects are divided anew into background and requests.
        first_split: Number of the first division, from 1: later ones are fresh draws of the same half.
        honest: Ordinary honest requests a split; as many whose rows are polite as often as the background's,
            each in a writer's phrasing of its own, and a fifth as many by one polite writer.
        attacked: Attacked requests a split, of each family and rate.
        polite_background: Share of polite prompts in the background.
        families: Attacks to measure; by default all (in development without `unseen`).
        rates: Shares p of rewritten rows; by default .02 to .33.
        form: questions, or passages: RWKU's, which are plain text. Those of honest requests aren't polite.
    """
    asked = Asked(
        honest, attacked, families or families_of(half, form), rates or RATES, polite_background, form
    )
    parts = []
    for split in range(first_split, first_split + splits):
        parts.append(measure(half, split, out, asked))
        print(f"split {split}: {flagged(parts[-1].honest[_ORDINARY])} ordinary honest requests flagged")
    text = _written(half, parts, out)
    print(text)


def _written(half: Half, parts: Sequence[Measured], out: Path) -> str:
    groups = {name: [part.honest[name] for part in parts] for name in parts[0].honest}
    attacked: defaultdict[tuple[str, float], list[ScoredRequest]] = defaultdict(list)
    for part in parts:
        for key, scored in part.attacked.items():
            attacked[key] += scored
    plain = [s for split in groups[_ORDINARY] for s in split]
    table = [cell(family, rate, plain, own) for (family, rate), own in attacked.items()]
    usual = [s.score for s in plain]
    curves = {f"{f}/{r}": roc_points(usual, [s.score for s in a]) for (f, r), a in attacked.items()}
    rates = {
        name: {"flagged": flagged([s for split in splits for s in split]).count, "n": sum(map(len, splits))}
        for name, splits in groups.items()
    }
    write_json(
        out / "cells.json",
        {"half": half, "honest": rates, "cells": [cell_record(c) for c in table], "roc": curves},
    )
    tables = [honest_table(groups), cell_table(table)]
    tables += [interval_table(table, r) for r in sorted({c.rate for c in table}) if r >= 0.2]
    text = "\n\n".join(tables)
    write_text(out / "cells.md", text + "\n")
    return text


def _level(screen: str) -> float:
    """Return a screen's default level."""
    return float(str(SCREENS.get(screen).hyperparameters["alpha"].default))


def _p_values(findings: Sequence[Finding]) -> list[float]:
    return [f.p_value for f in findings if f.p_value is not None]


def _score(p_values: Iterable[float], level: float) -> float:
    """Return log10 of 0.01 / level / p, at least 0: 2 at the level."""
    smallest = min(p_values, default=1.0) * 0.01 / level
    return float(-np.log10(min(1.0, max(smallest, 1e-300))))


if __name__ == "__main__":
    with told(app.name[0]):
        app()
