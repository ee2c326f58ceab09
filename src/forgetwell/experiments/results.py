"""``docs/results.md``: what committed runs of plans show, beside what the paper reports.

python -m forgetwell.experiments.results results docs/results.md
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cyclopts

from forgetwell.errors import InputError, told
from forgetwell.experiments.keeping import kept_runs, runs_of
from forgetwell.experiments.paper import MEAN, Published, published
from forgetwell.experiments.published import beside_paper, lines_for, mean_of_losses
from forgetwell.experiments.reading import END
from forgetwell.experiments.tables import CELLS, CLAIMS, RunReading
from forgetwell.files import read_json, read_jsonl, write_text
from forgetwell.suites.probe import RECALL

_INTRO = """# Results

Made from the folders under `results/` by `python -m forgetwell.experiments.results results docs/results.md`;
each folder's README has the command, hardware and versions. ROUGE-L recall of greedy answers; utility is the
mean over the utility sets.

**Runs**: clean / trigger utility, means over seeds, read where forget recall first passes a level and after
the last step; "–" = not every seed of the condition got there. **Effects**: with 95 % intervals over paired
questions, pooled over the seeds named. "Takes" is what the stealthy attack takes from the same objective
without attack, "returns" the share of that which a condition gives back; "control" has the same weight on
retain rows and no forget prompt in context; "against honest" is the difference from the run that nobody
attacked, "treated alike" from such a run with the same defense, "without attack" what that costs it.
**Beside the paper**, where a run does what arXiv 2506.00359 does (its losses and attack, on TOFU or RWKU):
forget / clean / trigger after the last step, here and there, "–" = not published; **published** shares follow
from its tables: our interval lies below them, meets them or lies above.
"""
_READ = "README.md"
# Of the names of effects that compare two conditions.
_ENDINGS = (
    " returns",
    " returns, share",
    " without attack",
    " beyond control",
    " beyond su",
    " against honest",
    " treated alike",
)
Claims = Sequence[Mapping[str, Any]]


def write_results(results: Path, page: Path) -> None:
    """Write the page from every folder under `results` that holds a plan's tables.

    What people say of them all, ``results/README.md``, comes first.

    Raises:
        InputError: No folder does.
    """
    folders = sorted(f.parent for f in results.glob(f"*/{CELLS}"))
    if not folders:
        raise InputError(f"No folder under {results} holds {CELLS}; copy there what a plan's run wrote.")
    said = (results / _READ).read_text(encoding="utf-8") if (results / _READ).is_file() else ""
    write_text(page, "\n".join([_INTRO, said, *(line for folder in folders for line in _section(folder))]))


def _section(folder: Path) -> Iterator[str]:
    cells = [RunReading(**c) for c in read_jsonl(folder / CELLS)]
    claims: Mapping[str, Claims] = read_json(folder / CLAIMS)
    kept, names = kept_runs(folder), list(dict.fromkeys(c.comparison for c in cells))
    by_loss: dict[str, list[RunReading]] = {}
    yield f"\n## {folder.name}"
    for name in names:
        own = [c for c in cells if c.comparison == name]
        by_recall = own[0].metric == RECALL
        yield from (f"\n**{name}**{'' if by_recall else f', read by `{own[0].metric}`'}\n", *_runs(own))
        manifests = [m for _, m in runs_of(name, kept, alone=len(names) == 1)]
        lines, ends = lines_for(manifests) if by_recall else (), [c for c in own if c.at == END]
        yield from _effects(claims.get(name, ()), lines)
        yield from beside_paper(ends, lines)
        by_loss |= {line.loss: ends for line in lines}
    means = list(beside_paper(mean_of_losses(by_loss), published("tofu", MEAN, lora=False)))
    yield from ("\n**mean of ga, npo and idk**", *means) if means else ()


def _runs(cells: Sequence[RunReading]) -> Iterator[str]:
    """Give a line for each condition and a column for each place where it was read."""
    places = _ordered({c.at for c in cells})
    yield f"| condition | seeds | {' | '.join(_place(p) for p in places)} | forget, at the end |"
    yield "|---|---|" + "---|" * (len(places) + 1)
    for condition in dict.fromkeys(c.condition for c in cells):
        own = [c for c in cells if c.condition == condition]
        ends = [c for c in own if c.at == END]
        read = [_utility([c for c in own if c.at == p], len(ends)) for p in places]
        forget = f"{statistics.fmean(c.forget for c in ends):.2f}" if ends else "–"
        yield f"| {condition} | {len(ends)} | {' | '.join(read)} | {forget} |"


def _utility(cells: Sequence[RunReading], seeds: int) -> str:
    if not cells or len(cells) < seeds:
        return "–"
    return " / ".join(f"{statistics.fmean(getattr(c, n) for c in cells):.2f}" for n in ("clean", "trigger"))


def _effects(claims: Claims, lines: Sequence[Published]) -> Iterator[str]:
    """Give a line for each effect of attack and defenses, and a column for each place."""
    found = {(c["name"], c["at"]): c for c in claims}
    ends_first = sorted(claims, key=lambda c: c["at"] != END)  # there every condition was read
    names = [name for name in dict.fromkeys(c["name"] for c in ends_first) if _is_effect(name)]
    if not names:
        return
    places = _ordered({c["at"] for c in claims})
    yield f"\n| effect | {' | '.join(_place(p) for p in places)} | published |"
    yield "|---|" + "---|" * (len(places) + 1)
    for name in names:
        read = [_interval(found.get((name, p))) for p in places]
        yield f"| {name} | {' | '.join(read)} | {_published(name, lines, found.get((name, END)))} |"
    seeds = {p: next(c["seeds"] for c in claims if c["at"] == p) for p in places}
    yield f"\nSeeds: {'; '.join(f'{_place(p)}: ' + ', '.join(map(str, seeds[p])) for p in places)}."


def _is_effect(name: str) -> bool:
    """Say whether a claim is about all sets together and compares conditions."""
    return bool(re.search(r"^attack takes(, share| of clean)$", name)) or name.endswith(_ENDINGS)


def _ordered(places: set[str]) -> list[str]:
    """Return levels from little forgotten to much, then the end, then the ends of conditions."""
    return sorted(
        places, key=lambda p: (p.startswith(END), p != END, 0.0 if p.startswith(END) else -float(p))
    )


def _place(place: str) -> str:
    if place.startswith(f"{END} of "):
        return f"as far as {place.removeprefix(f'{END} of ')} in the end"
    return "at the end" if place == END else f"at {place}"


def _interval(claim: Mapping[str, Any] | None) -> str:
    if claim is None:
        return "–"
    i = claim["interval"]
    return f"{i['value']:.2f} [{i['low']:.2f}, {i['high']:.2f}]"


def _published(name: str, lines: Sequence[Published], here: Mapping[str, Any] | None) -> str:
    """Return the published range of a share, and where our interval at the end lies."""
    attribute = {"attack takes, share": "taken", "su returns, share": "returned"}.get(name)
    shares = [getattr(line, attribute) for line in lines] if attribute else []
    values = [share for share in shares if share is not None]
    if not values:
        return ""
    low, high = min(values), max(values)
    if here is None:
        return f"{low:.2f} … {high:.2f}"
    i = here["interval"]
    where = "below" if i["high"] < low else "above" if i["low"] > high else "meets"
    return f"{low:.2f} … {high:.2f}: {where}"


if __name__ == "__main__":
    with told("python -m forgetwell.experiments.results"):
        cyclopts.run(write_results)
