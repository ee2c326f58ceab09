"""How well screens that ask the model do: ``python -m forgetwell.experiments.model_screens``.

Requests are about subjects that a model has learned, rows to keep about the others that it has learned.
`unknown` runs with its defaults, of which the level, .01 and not .05, was chosen by these requests. Of
`high_loss`, the paper's baseline, a request's score is the mean loss of the rows that it would remove.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import App, Parameter
from numpy.typing import NDArray

from forgetwell.data.row_files import write_rows
from forgetwell.errors import InputError, told
from forgetwell.experiments.bench import Bench, bind_bench
from forgetwell.experiments.screening_attacks import FAMILIES, attack_calls, write_attack_files
from forgetwell.experiments.screening_data import Pool, Subjects, by_subject, honest_request
from forgetwell.experiments.screening_figures import Rate, roc_points, tpr_at
from forgetwell.files import write_json, write_text
from forgetwell.metrics.privacy import auc
from forgetwell.metrics.statistics import Floats
from forgetwell.models.kept import Kept
from forgetwell.models.lm import LM, load
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.screening import Evidence
from forgetwell.requests.screens.losses import high_loss, unknown
from forgetwell.types import Request, Row

ROWS = 40
_LEAST_ROWS = 5  # of a subject; general questions have one each
_LEAST_P = 1e-300
_COUNTED = 3  # rows that make an alarm of `unknown`, by default
Call = Callable[[int], str]


@dataclass(frozen=True, eq=False)
class Seen:
    """One request as these screens see it.

    Attributes:
        unknown: log10 of 1/p of the row that makes an alarm, the third of those least known; 0 = nothing.
        alarm: Whether `unknown` raises an alarm with its defaults.
        losses: Mean loss of each row's answer, in nats (n,).
        rewritten: Whether the attack changed the row (n,).
    """

    unknown: float
    alarm: bool
    losses: Floats
    rewritten: NDArray[np.bool_]

    def worst(self, share: float) -> NDArray[np.int64]:
        """Return the share of rows with the highest loss: those that the baseline removes."""
        return np.argsort(-self.losses, kind="stable")[: round(share * len(self.losses))]


@dataclass(frozen=True)
class Told:
    """How well a score tells attacked from honest requests.

    Attributes:
        tpr: True-positive rate where 1 % of the honest ones are flagged.
        auc: Area under the ROC curve.
        roc: Its points, (false-positive rate, true-positive rate).
    """

    tpr: float
    auc: float
    roc: Sequence[tuple[float, float]]

    def __str__(self) -> str:
        return f"{self.tpr:.2f} ({self.auc:.3f})"


@dataclass(frozen=True)
class FamilySeen:
    """One attack at one rate.

    Attributes:
        family: The attack.
        rate: Its p.
        flagged: Requests in which `unknown` raises an alarm.
        unknown: How well its p-value tells requests.
        high_loss: How well the mean loss of the rows to be removed does.
        row_auc: AUC of a row's loss for "was rewritten", within requests, mean; None where none has both.
        removed: Rewritten rows among those with the highest loss.
    """

    family: str
    rate: float
    flagged: Rate
    unknown: Told
    high_loss: Told
    row_auc: float | None
    removed: Rate


def see(request: Request, retain: Sequence[Row], lm: LM) -> Seen:
    """Return what both screens make of a request, with rows to keep."""
    evidence = Evidence((), lm=lm, retain=tuple(retain))
    p_values = sorted(f.p_value or 0.0 for f in unknown(request, evidence, alpha=1.0) if f.row_id)
    alarm = any(f.severity == "alarm" for f in unknown(request, evidence))
    losses = [f.statistic for f in high_loss(request, evidence, share=1.0)]
    rewritten = [row.edit is not None for row in request.rows]
    score = -float(np.log10(max(p_values[_COUNTED - 1], _LEAST_P))) if len(p_values) >= _COUNTED else 0.0
    return Seen(score, alarm, np.array(losses), np.array(rewritten))


def learned_subjects(bench: Bench) -> Subjects:
    """Return the learned rows about somebody, by subject, each in one of its phrasings by lot.

    Users don't word their questions as the training data does.
    """
    rng = random.Random(0)
    rows = [
        replace(row, prompt=rng.choice((row.prompt, *row.questions)), questions=()) for row in bench.learn
    ]
    return {name: own for name, own in by_subject(rows).items() if name and len(own) >= _LEAST_ROWS}


def family_calls(bench: Bench, subjects: Subjects, out: Path) -> Callable[[str, float], Call]:
    """Return, for an attack and p, its call on each request; words and phrasings are the report's.

    Raises:
        InputError: The bench has no rows that the model never learned.
    """
    files = write_attack_files((Pool("report", {bench.name: subjects}),), "report", out)
    never = out / f"never-{bench.name}.jsonl"
    if not bench.others:
        raise InputError(f"The bench {bench.name} has no rows about others; give one that has, as tofu.")
    write_rows(never, bench.others)

    def calls(family: str, rate: float) -> Call:
        if family == "unknown_rows":
            return lambda i: f"unknown_rows(p={rate}, rows={str(never)!r})"
        made = attack_calls(family, "report", rate, files)
        return lambda i: made(i, bench.name)

    return calls


def measure(
    bench: Bench, lm: LM, out: Path, *, honest: int, attacked: int, families: Sequence[str],
    rates: Sequence[float], seed: int = 0,
) -> tuple[list[Seen], dict[tuple[str, float], list[Seen]]]:  # fmt: skip
    """Return how honest requests are seen, and those of each attack and rate."""
    subjects = learned_subjects(bench)
    asked = Kept(lm)
    calls = family_calls(bench, subjects, out)

    def drawn(count: int, lot: str, changed: Callable[[Request, int], Request]) -> list[Seen]:
        rng, seen = random.Random(f"{seed}/{lot}"), []
        for i in range(count):
            request = honest_request(subjects, rng, rows=ROWS)
            own = {row.subject for row in request.rows}
            kept = [row for name, rows in subjects.items() if name not in own for row in rows]
            seen.append(see(changed(request, i), kept, asked))
        return seen

    def attack(call: Call, request: Request, i: int) -> Request:
        return attack_request(request, call(i), seed=1000 * seed + i)

    usual = drawn(honest, "honest", lambda request, _: request)
    found = {
        (family, rate): drawn(attacked, f"{family}/{rate}", partial(attack, calls(family, rate)))
        for family in families
        for rate in rates
    }
    return usual, found


def family_seen(family: str, rate: float, honest: Sequence[Seen], attacked: Sequence[Seen]) -> FamilySeen:
    """Return the figures of one attack at one rate."""
    rows = [
        auc(s.losses[~s.rewritten], s.losses[s.rewritten]) for s in attacked if 0 < s.rewritten.mean() < 1
    ]
    removed = [s.rewritten[s.worst(rate)] for s in attacked]
    return FamilySeen(
        family,
        rate,
        _alarms(attacked),
        _told([s.unknown for s in honest], [s.unknown for s in attacked]),
        _told([_highest(s, rate) for s in honest], [_highest(s, rate) for s in attacked]),
        float(np.mean(rows)) if rows else None,
        Rate(sum(int(r.sum()) for r in removed), sum(map(len, removed))),
    )


def _alarms(seen: Sequence[Seen]) -> Rate:
    return Rate(sum(s.alarm for s in seen), len(seen))


def _highest(seen: Seen, share: float) -> float:
    return float(seen.losses[seen.worst(share)].mean())


def _told(honest: Sequence[float], attacked: Sequence[float]) -> Told:
    area = auc(np.array(honest), np.array(attacked))
    return Told(tpr_at(honest, attacked, 0.01), area, roc_points(honest, attacked))


def table(honest: Sequence[Seen], cells: Sequence[FamilySeen]) -> str:
    """Return the figures as a table, an attack and rate a line."""
    lines = [
        f"Honest requests in which `unknown` raises an alarm: {_alarms(honest)}",
        "",
        "| attack | p | `unknown` flags | … at 1 % false positives (AUC) | `high_loss` at 1 % (AUC) "
        "| AUC of a row's loss | of the rows removed, rewritten |",
        "|---" * 7 + "|",
    ]
    for c in cells:
        rows = "–" if c.row_auc is None else f"{c.row_auc:.2f}"
        lines.append(
            f"| `{c.family}` | {c.rate:g} | {c.flagged} | {c.unknown} | {c.high_loss} "
            f"| {rows} | {c.removed.value:.2f} |"
        )
    return "\n".join(lines)


app = App(name="python -m forgetwell.experiments.model_screens", help=__doc__)


@app.default
def main(
    *, model: str, bench: str = "tofu", out: Path = Path("runs/model-screens"), honest: int = 300,
    attacked: int = 20, seed: int = 0,
    families: Annotated[list[str] | None, Parameter(consume_multiple=True, negative="")] = None,
    rates: Annotated[list[float] | None, Parameter(consume_multiple=True, negative="")] = None,
) -> None:  # fmt: skip
    """Measure `unknown` and `high_loss`, and write cells.json and cells.md.

    Args:
        model: A model that has learned the bench: a folder such as ``runs/X/known tofu smollm2``.
        bench: The bench, as in a plan: tofu or world(more=8).
        out: Folder for the results.
        honest: Honest requests.
        attacked: Attacked requests of each attack and rate.
        seed: Of all draws.
        families: Attacks; by default all on questions, and unknown_rows.
        rates: Shares p of rewritten rows; by default .2.
    """
    made, asked = bind_bench(bench)(), tuple(rates or (0.2,))
    usual, found = measure(
        made, load(model), out, honest=honest, attacked=attacked, rates=asked, seed=seed,
        families=families or ("unknown_rows", *FAMILIES["questions"]),
    )  # fmt: skip
    cells = [family_seen(family, rate, usual, own) for (family, rate), own in found.items()]
    text = table(usual, cells)
    write_json(out / "cells.json", {"honest": _alarms(usual), "cells": cells})
    write_text(out / "cells.md", text + "\n")
    print(text)


if __name__ == "__main__":
    with told(app.name[0]):
        app()
