"""From the runs of a comparison to its claims, read where every run forgot equally much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np

from forgetwell.experiments.bench import Bench, sampled_utility
from forgetwell.experiments.claims import Run, run_folder
from forgetwell.experiments.probing import read_curve
from forgetwell.metrics.matched import read_at
from forgetwell.metrics.statistics import (
    Floats,
    Interval,
    Paired,
    Resamples,
    Sample,
    cluster_bootstrap,
    request_units,
    resample,
)
from forgetwell.suites.probe import mean
from forgetwell.suites.types import clean_id
from forgetwell.types import Row

LEVELS = (0.4, 0.3, 0.2)
END = "end"
Curve: TypeAlias = Sequence[Mapping[str, Any]]  # checkpoints, as `read_curve` gives them
Statistic: TypeAlias = Callable[[Floats], Floats]  # of the conditions' means (lines, C)
# What claims call a condition, where not by its own name.
_DEFENSES = {
    "defended": "su",
    "repaired": "repair",
    "both": "repair and su",
    "continued": "continued training",
    "high_loss": "high-loss removal",
}
# Before the name of a defense's condition: the same treatment of the honest request, as ``plain_su``.
_HONEST = "plain_"


@dataclass(frozen=True)
class Claim:
    """One number of a comparison.

    Attributes:
        at: Forget recall at which all runs were read, as text; ``end`` = after the last step, ``end of X`` =
            where as much is left as the runs of condition X end with.
        name: What it is.
        interval: Value, 95 % interval and number of paired trigger (or clean) questions, or of the request's.
        seeds: Seeds in which every condition got that far.
        by_seed: The value of each of these seeds alone; of a share none, as parts of single seeds may be 0.
    """

    at: str
    name: str
    interval: Interval
    seeds: tuple[int, ...]
    by_seed: tuple[float, ...] = ()


@dataclass(frozen=True)
class Place:
    """One run at one place: mean forget recall, and each utility row's recall by split key.

    `left` is each forget row's recall after the last step; at a level it is empty.
    """

    forget: float
    utility: Mapping[str, Mapping[str, float]]
    left: Mapping[str, float] = field(default_factory=dict)


def read_claims(
    bench: Bench,
    runs: Sequence[Run],
    out: Path,
    *,
    per_set: int,
    trigger: str = "",
    levels: Sequence[float] = LEVELS,
) -> tuple[Claim, ...]:
    """Return what a comparison's finished runs in a folder show: `claims_of` their curves."""
    curves = {(r.seed, r.condition): read_curve(run_folder(out, r)) for r in runs}
    return claims_of(bench, curves, per_set=per_set, trigger=trigger, levels=levels)


def claims_of(
    bench: Bench,
    curves: Mapping[tuple[int, str], Curve],
    *,
    per_set: int,
    trigger: str = "",
    levels: Sequence[float] = LEVELS,
    as_far_as: Sequence[str] = (),
) -> tuple[Claim, ...]:
    """Return what a comparison shows at each level of forgetting and at the end.

    For each condition: forget recall, clean and trigger utility (macro means over the utility sets). And,
    with intervals over the same resamples: what the attack takes of trigger utility (``plain - attacked``;
    share of ``plain``; shares are there only where what they are of is above 0 beyond chance), what `su` and
    each further condition return of that (``(defended - attacked) / (plain - attacked)``), how far beyond the
    control that is and how far from the honest run, and what they do to clean utility. A condition
    ``plain_X`` gives an honest request the treatment of X (``plain_su`` that of ``defended``): what that
    costs without an attack, and how far the two are apart. All this as macro means over the utility sets and,
    as ``… [retain]``, for each set alone.

    Rows are pooled over seeds; intervals resample subjects within each set, so that they speak of further
    subjects. What further seeds may show is to be seen from each seed's own value. A condition that no seed
    brought to a level is left out there; a seed counts at a level if all the others got there.

    Args:
        bench: What the runs were made on.
        curves: Of finished runs, by seed and condition; all seeds with the same conditions.
        per_set: As in the runs' setup.
        trigger: The same.
        levels: Forget recalls at which to read.
        as_far_as: Conditions at whose end to read the others too, by `read_as_far`.

    Source: arXiv 2506.00359, section 5; reading at matched forgetting and the controls are ours.
    """
    claims: list[Claim] = []
    seeds = tuple(dict.fromkeys(seed for seed, _ in curves))
    conditions = tuple(dict.fromkeys(condition for _, condition in curves))
    readings = {
        END if level is None else f"{level:g}": {run: read_place(c, level) for run, c in curves.items()}
        for level in (*levels, None)
    }
    readings |= {f"{END} of {condition}": read_as_far(curves, condition) for condition in as_far_as}
    for at, places in readings.items():
        read = {run: place for run, place in places.items() if place is not None}
        reached = tuple(c for c in conditions if any((s, c) in read for s in seeds))
        whole = tuple(s for s in seeds if all((s, c) in read for c in reached))
        if reached and whole:
            sampled = {
                seed: sampled_utility(bench, per_set=per_set, seed=seed, trigger=trigger) for seed in whole
            }
            claims += _claims(bench, read, sampled, reached, at)
    return tuple(claims)


def read_place(curve: Curve, level: float | None) -> Place | None:
    """Read a run's curve where its forget recall first passes `level` (None: at its last checkpoint).

    A run that went on without a forget term is read at its end alone, one that diverged has no end, and none
    is read at a level below which it started: nothing was forgotten on the way there.
    """
    if level is not None and "then" in curve[-1]:
        return None
    forgets = [mean(list(c["forget"].values())) for c in curve]
    if level is None:
        end = curve[-1]
        ended = end.get("utility") and "diverged" not in end
        return Place(forgets[-1], end["utility"], end["forget"]) if ended else None
    place = read_at(forgets, level)
    if place is None:
        return None
    first, last = curve[place.before].get("utility"), curve[place.after].get("utility")
    if first is None or last is None:
        return None
    return Place(
        level,
        {
            key: {i: first[key][i] + place.share * (last[key][i] - first[key][i]) for i in rows}
            for key, rows in first.items()
        },
    )


def read_as_far(
    curves: Mapping[tuple[int, str], Curve], condition: str
) -> dict[tuple[int, str], Place | None]:
    """Read every run where as much is left as one condition's run of the seed ends with, that one at its end.

    For a defense that forgets in the course of a run and not on its way down: the others are read where a
    level is first passed, this one as it would be released. A run that never forgets so much is read at its
    end.
    """
    found = {}
    for (seed, name), curve in curves.items():
        end = read_place(curves[seed, condition], None)
        level = None if name == condition or end is None else end.forget
        found[seed, name] = read_place(curve, level) or read_place(curve, None)
    return found


def _claims(
    bench: Bench,
    read: Mapping[tuple[int, str], Place],
    sampled: Mapping[int, Mapping[str, Sequence[Row]]],
    conditions: tuple[str, ...],
    at: str,
) -> list[Claim]:
    seeds = tuple(sampled)
    claims = []
    for condition in conditions:
        places = [read[s, condition] for s in seeds]
        left, by_seed = _left(bench, places), tuple(_left(bench, [place]).value for place in places)
        claims.append(Claim(at, f"forget/{condition}", left, seeds, by_seed))
    each = {seed: {c: read[seed, c] for c in conditions} for seed in seeds}
    sets = {
        (name, kind): [_paired(f"{name}/{kind}", sampled[s], each[s]) for s in seeds]
        for name in bench.utility
        for kind in ("clean", "trigger")
    }
    for names, label in ((tuple(bench.utility), ""), *(((name,), f" [{name}]") for name in bench.utility)):
        for kind in ("clean", "trigger"):
            found = _means([sets[name, kind] for name in names], kind, conditions)
            claims += [Claim(at, f"{name}{label}", i, seeds, by_seed) for name, (i, by_seed) in found.items()]
    return claims


def _means(
    sets: Sequence[Sequence[Paired]], kind: str, conditions: tuple[str, ...]
) -> dict[str, tuple[Interval, tuple[float, ...]]]:
    """Return each condition's mean over some sets, and what follows from those of this kind.

    Each with its interval, over rows of all seeds, and its value of each seed.

    Args:
        sets: For each set the rows of each seed.
        kind: ``clean`` or ``trigger``.
        conditions: The columns of the rows.
    """
    drawn = resample([_pooled(seeds) for seeds in sets])
    each = _by_seed(sets)
    statistics = {f"{kind}/{c}": _one(c, conditions) for c in conditions}
    statistics |= {n: _between(*pair, conditions) for n, pair in _differences(kind, conditions).items()}
    found = {n: (drawn.mean(f), tuple(map(float, f(each)))) for n, f in statistics.items()}
    if kind == "trigger":
        shares = {n: "attack takes" for n in statistics if n.endswith(" returns")}
        for name, of in {"attack takes": "trigger/plain", **shares}.items():
            if share := _share(drawn, statistics.get(name), statistics.get(of)):
                found[f"{name}, share"] = (share, ())
    return found


def _one(condition: str, conditions: tuple[str, ...]) -> Statistic:
    k = conditions.index(condition)
    return lambda means: means[:, k]


def _between(one: str, other: str, conditions: tuple[str, ...]) -> Statistic:
    a, b = conditions.index(one), conditions.index(other)
    return lambda means: means[:, a] - means[:, b]


def _differences(kind: str, conditions: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Return what follows from means of this kind: names of differences, and of what two conditions."""
    clean = kind == "clean"
    found = {"attack takes of clean" if clean else "attack takes": ("plain", "attacked")}
    for condition in conditions:
        if condition in ("plain", "attacked") or condition.startswith(_HONEST):
            continue
        name = _DEFENSES.get(condition, condition)
        treated = f"{_HONEST}{'su' if condition == 'defended' else condition}"
        what = f"{name}'s clean utility," if clean else name
        found[f"{what} without attack"] = (treated, "plain")
        found[f"{what} against honest"] = (condition, "plain")
        found[f"{what} against honest treated alike"] = (condition, treated)
        found[f"{name}'s clean utility" if clean else f"{name} returns"] = (condition, "attacked")
        if not clean and condition != "control":
            found[f"{name} beyond control"] = (condition, "control")
        if not clean and condition not in ("control", "defended"):
            found[f"{name} beyond su"] = (condition, "defended")
    return {name: pair for name, pair in found.items() if set(pair) <= set(conditions)}


def _share(drawn: Resamples, part: Statistic | None, whole: Statistic | None) -> Interval | None:
    """Return part / whole; None where the whole isn't above 0 beyond chance, or is 0 in some resample.

    A share of nothing may look sure: where a repair gives the honest request back, it returns exactly what
    the attack takes, whatever that is.
    """
    if part is None or whole is None or drawn.interval(whole).low <= 0:
        return None
    if not all(whole(means).all() for means in (drawn.means, *drawn.apart)):
        return None
    return drawn.interval(lambda means: part(means) / whole(means))


def _paired(key: str, sampled: Mapping[str, Sequence[Row]], places: Mapping[str, Place]) -> Paired:
    """Return one seed's rows of a split under every condition."""
    own = [place.utility[key] for place in places.values()]
    rows = [row for row in sampled[key] if row.id in own[0]]  # else the plan's metric doesn't apply
    values = [[condition[row.id] for condition in own] for row in rows]
    return Paired(
        np.asarray(values, dtype=np.float64).reshape(len(rows), len(own)),
        [row.subject or clean_id(key, row.id) for row in rows],
    )


def _by_seed(sets: Sequence[Sequence[Paired]]) -> Floats:
    """Return the macro means (seeds, conditions); none where a set has no rows of some seed."""
    if not all(len(seed.values) for seeds in sets for seed in seeds):
        return np.zeros((0, sets[0][0].values.shape[1]))
    means: Floats = np.mean([[seed.values.mean(0) for seed in seeds] for seeds in sets], axis=0)
    return means


def _pooled(seeds: Sequence[Paired]) -> Paired:
    return Paired(np.concatenate([s.values for s in seeds]), [c for s in seeds for c in s.clusters])


def _left(bench: Bench, places: Sequence[Place]) -> Interval:
    """Return what is left of the request, its rows pooled over seeds; levels are left as they were chosen."""
    if not all(place.left for place in places):
        level = fmean(place.forget for place in places)
        return Interval(level, level, level, len(places) * len(bench.asked))
    asked = [(place, row) for place in places for row in bench.asked if row.id in place.left]
    values, questions = [place.left[row.id] for place, row in asked], [row.id for _, row in asked]
    subjects = [row.subject or row.id for _, row in asked]
    return cluster_bootstrap([Sample(values, request_units(subjects, questions))])
