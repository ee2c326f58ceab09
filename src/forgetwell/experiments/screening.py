"""How well screens tell attacked from honest requests: ``python -m forgetwell.experiments.screening``.

Threshold-free figures (area under the ROC curve, true-positive rate at 1 % false positives) and what the
shipped defaults do. Trigger words, forms and languages of the report didn't choose settings, nor did the
family `unseen`, phrasings written afterwards; the report's honest requests did once (docs/screening.md), so
that its false-positive rate flatters.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import App, Parameter

from forgetwell.data.reading import write_rows
from forgetwell.experiments.screening_data import (
    SETS,
    Half,
    Pool,
    honest_request,
    load_pool,
    make_background,
    other_rows,
    politely,
)
from forgetwell.files import write_json, write_text
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.frames import family_frames, family_words
from forgetwell.requests.screening import Evidence, run_screens, suspicious
from forgetwell.requests.screens.foreign_subject import foreign_subject
from forgetwell.requests.screens.inflation import inflated
from forgetwell.requests.screens.mixed_casing import mixed_casing
from forgetwell.requests.screens.surprise import surprised
from forgetwell.requests.screens.templates import mined
from forgetwell.types import Finding, Request

RATES = (0.02, 0.05, 0.1, 0.2, 0.33)
FAMILIES = (
    "stealthy", "synonyms", "midsentence", "rotating", "paraphrased", "unseen", "adaptive", "foreign_frame",
    "punctuation", "casing", "smuggle",
)  # fmt: skip
_UNSEEN = Path(__file__).parent / "assets" / "unseen_phrasings.toml"


@dataclass(frozen=True)
class Scored:
    """One request as the screens see it: log10 of 1/p by screen (0 = nothing), and the default decision."""

    inflation: float
    templates: float
    surprise: float
    mixed_casing: float
    foreign_subject: float
    flagged: bool

    @property
    def score(self) -> float:
        """The strongest of the screens."""
        return max(self.inflation, self.templates, self.surprise, self.mixed_casing, self.foreign_subject)


@dataclass(frozen=True)
class Cell:
    """One family at one rate.

    Attributes:
        family: The attack.
        rate: Its p.
        n: Attacked requests.
        auc: Area under the ROC curve against ordinary honest requests.
        tpr: True-positive rate where 1 % of ordinary honest requests are flagged.
        flagged: True-positive rate of the shipped defaults.
    """

    family: str
    rate: float
    n: int
    auc: float
    tpr: float
    flagged: float


@dataclass(frozen=True)
class Measured:
    """Scores of ordinary honest, polite honest and attacked requests, the last by ``family/rate``."""

    plain: Sequence[Scored]
    polite: Sequence[Scored]
    attacked: Mapping[str, Sequence[Scored]]


def score_request(request: Request, evidence: Evidence) -> Scored:
    """Return a request's scores: of each screen, the smallest adjusted p-value before any threshold.

    Those of the screens whose default level is 0.001 count tenfold, so that 2 is every screen's level.
    """
    worded = surprised(request, evidence)
    return Scored(
        _evidence(h.q_value for h in inflated(request, evidence)),
        _evidence(h.q_value for h in mined(request, evidence)),
        _evidence([10 * worded.p_value] if worded else []),
        _evidence(_tenfold(mixed_casing(request, evidence, alpha=1.0))),
        _evidence(_tenfold(foreign_subject(request, evidence, alpha=1.0))),
        suspicious(run_screens(request, evidence)),
    )


def auc(honest: Sequence[float], attacked: Sequence[float]) -> float:
    """Return P(attacked > honest) + P(equal)/2, the area under the ROC curve.

    Source: Hanley and McNeil, Radiology 143 (1982), 29-36.
    """
    a, h = np.asarray(attacked)[:, None], np.asarray(honest)[None]
    return float(np.mean((a > h) + 0.5 * (a == h)))


def tpr_at(honest: Sequence[float], attacked: Sequence[float], fpr: float) -> float:
    """Return the share of attacked scores above the smallest threshold that at most `fpr` of honest pass."""
    allowed = int(fpr * len(honest) + 1e-9)
    threshold = sorted(honest, reverse=True)[allowed]
    return float(np.mean(np.asarray(attacked) > threshold))


def roc_points(honest: Sequence[float], attacked: Sequence[float]) -> list[tuple[float, float]]:
    """Return (false-positive rate, true-positive rate) at every distinct threshold, from (0, 0) to (1, 1)."""
    h, a = np.asarray(honest), np.asarray(attacked)
    thresholds = sorted({*honest, *attacked}, reverse=True)
    return [(0.0, 0.0), *((float((h >= t).mean()), float((a >= t).mean())) for t in thresholds)]


def honest_requests(
    pool: Pool, count: int, rng: random.Random, *, rows: int = 40
) -> Iterator[tuple[str, Request]]:
    """Give (data set, request): TOFU and RWKU in equal numbers, a tenth from the built-in world."""
    for i in range(count):
        name = "world" if i % 10 == 9 else SETS[i % 2]
        yield name, honest_request(pool.subjects[name], rng, rows=rows)


def attack_calls(
    family: str, half: Half, rate: float, others: Mapping[str, Path]
) -> Callable[[int, str], str]:
    """Return, for request number and data set, the attack's call: words, forms and languages of this half."""
    words = {"synonyms": "word", "midsentence": "word", "foreign_frame": "language", "punctuation": "form"}
    listed = {
        "synonyms": family_words("synonyms"),
        "midsentence": family_words("midsentence"),
        "foreign_frame": tuple(family_frames()["foreign"]),
        "punctuation": tuple(family_frames()["punctuation"]["forms"]),
    }.get(family, ())
    middle = len(listed) // 2
    own = listed[:middle] if half == "development" else listed[middle:]

    def call(i: int, name: str) -> str:
        if family == "unseen":
            return f"stealthy(p={rate}, templates={str(_UNSEEN)!r})"
        extra = f", {words[family]}={own[i % len(own)]!r}" if own else ""
        if family == "smuggle":
            extra = f", rows={str(others[name])!r}"
        return f"{family}(p={rate}{extra})"

    return call


def measure(
    half: Half,
    evidence: Evidence,
    out: Path,
    *,
    honest: int,
    attacked: int,
    families: Sequence[str] = FAMILIES,
    rates: Sequence[float] = RATES,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Measured:
    """Score honest, polite and attacked requests of one half."""
    pool, rng = load_pool(half), random.Random(f"{seed}/{half}")
    plain = [score_request(r, evidence) for _, r in honest_requests(pool, honest, rng)]
    polite = [score_request(politely(r, rng), evidence) for _, r in honest_requests(pool, honest // 2, rng)]
    say(f"{half}: {len(plain)} ordinary and {len(polite)} polite honest requests scored")
    others = _other_files(pool, out)
    found: dict[str, list[Scored]] = {}
    for family in families:
        for rate in rates:
            call = attack_calls(family, half, rate, others)
            base = honest_requests(pool, attacked, rng)
            found[f"{family}/{rate}"] = [
                score_request(attack_request(r, call(i, name), seed=i), evidence)
                for i, (name, r) in enumerate(base)
            ]
        say(f"{half}: {family} scored")
    return Measured(plain, polite, found)


def cells(plain: Sequence[Scored], attacked: Mapping[str, Sequence[Scored]]) -> list[Cell]:
    """Return one cell for each family and rate."""
    honest = [s.score for s in plain]
    table = []
    for key, scored in attacked.items():
        family, _, rate = key.partition("/")
        own = [s.score for s in scored]
        flagged = float(np.mean([s.flagged for s in scored]))
        table.append(
            Cell(family, float(rate), len(own), auc(honest, own), tpr_at(honest, own, 0.01), flagged)
        )
    return table


def markdown(table: Sequence[Cell]) -> str:
    """Return the cells as a table, a family a line: TPR at 1 % FPR (AUC), and the default's TPR."""
    rates = sorted({c.rate for c in table})
    lines = ["| family | " + " | ".join(f"p = {r:g}" for r in rates) + " |", "|---" * (len(rates) + 1) + "|"]
    for family in dict.fromkeys(c.family for c in table):
        own = {c.rate: c for c in table if c.family == family}
        values = (f"{own[r].tpr:.2f} ({own[r].auc:.2f}) {own[r].flagged:.2f}" for r in rates)
        lines.append(f"| `{family}` | " + " | ".join(values) + " |")
    return "\n".join(lines)


app = App(name="python -m forgetwell.experiments.screening", help=__doc__)


@app.default
def main(
    *, out: Path = Path("runs/screening"), half: Half = "report", honest: int = 300, attacked: int = 60,
    polite_background: float = 0.05, seed: int = 0,
    families: Annotated[list[str] | None, Parameter(negative="")] = None,
) -> None:  # fmt: skip
    """Measure the screens and write scores.json, cells.json and cells.md.

    Args:
        out: Folder for the results.
        half: report, or development to choose settings on.
        honest: Ordinary honest requests; half as many polite ones are added.
        attacked: Attacked requests of each family and rate.
        polite_background: Share of polite prompts in the background.
        seed: Of all draws.
        families: Attacks to measure; by default all.
    """
    evidence = Evidence(make_background(polite=polite_background, seed=seed))
    found = measure(
        half, evidence, out, honest=honest, attacked=attacked, families=families or FAMILIES, seed=seed
    )
    table = cells(found.plain, found.attacked)
    rates = {
        "ordinary honest requests flagged": float(np.mean([s.flagged for s in found.plain])),
        "polite honest requests flagged": float(np.mean([s.flagged for s in found.polite])),
    }
    usual = [s.score for s in found.plain]
    curves = {k: roc_points(usual, [s.score for s in a]) for k, a in found.attacked.items()}
    write_json(
        out / "cells.json", {"half": half, **rates, "cells": [asdict(c) for c in table], "roc": curves}
    )
    text = "\n".join([markdown(table), "", *(f"{k}: {v:.3f}" for k, v in rates.items())])
    write_text(out / "cells.md", text + "\n")
    print(text)


def _other_files(pool: Pool, out: Path) -> dict[str, Path]:
    files = {name: out / f"others-{pool.half}-{name}.jsonl" for name in SETS}
    for name, path in files.items():
        write_rows(path, other_rows(pool.subjects[name]))
    return files


def _tenfold(findings: Sequence[Finding]) -> Iterator[float]:
    return (10 * f.p_value for f in findings if f.p_value is not None)


def _evidence(p_values: Iterable[float]) -> float:
    smallest = min(p_values, default=1.0)
    return float(-np.log10(max(smallest, 1e-300)))


if __name__ == "__main__":
    app()
