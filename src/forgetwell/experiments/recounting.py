"""Claims of kept results computed again from their curves: what is published follows from what is kept.

python -m forgetwell.experiments.recounting results/2026-01-31-facts
python -m forgetwell.experiments.recounting results/2026-01-31-balance --beside results/2026-01-31-facts
python -m forgetwell.experiments.recounting results/2026-01-31-many-people --bench "world(more=8)"
python -m forgetwell.experiments.recounting results/2026-01-31-facts --as-far-as defended
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from forgetwell.errors import ForgetwellError, InputError, MissingError, told
from forgetwell.experiments.bench import Bench, bind_bench
from forgetwell.experiments.keeping import Kept, kept_runs, runs_of
from forgetwell.experiments.reading import END, Claim, claims_of
from forgetwell.experiments.tables import CELLS, CLAIMS, RunReading, write_claims
from forgetwell.files import read_json, read_jsonl

Old = Sequence[Mapping[str, Any]]  # claims as they are kept
_OF = f"{END} of "


def recount(
    kept: Path, beside: Sequence[Path] = (), bench: str = "", as_far_as: Sequence[str] = ()
) -> tuple[str, ...]:
    """Compute the claims of a folder's curves again, write them and their table; return what differs.

    Values are those of the curves; intervals are those of this code. What differs is named by comparison,
    claim and place, and nothing is written then: the folder holds other runs than those of its claims, or
    the code reads curves in another way.

    Args:
        kept: Kept results.
        beside: Others, which hold the runs that a plan took over from another one.
        bench: What the runs were made on, as plans write it; by default the name that manifests have, which
            lacks options.
        as_far_as: Conditions at whose end to read the others too, beside those that claims are read at.

    Raises:
        MissingError: The folder holds no claims, or no curves.
        InputError: Its runs asked other rows than the bench of today has.
    """
    if not (kept / CLAIMS).is_file():
        raise MissingError(
            f"{kept} holds no {CLAIMS}; give a folder that forgetwell.experiments.keeping made."
        )
    old: Mapping[str, Old] = read_json(kept / CLAIMS)
    runs = [run for folder in (kept, *beside) for run in kept_runs(folder)]
    if not runs:
        raise MissingError(f"{kept} holds no curves; nothing of it can be computed again.")
    benches = {name: _bench(bench or name, m["data"]) for name, m in {m["bench"]: m for _, m in runs}.items()}
    new = {
        name: _claims(_of(name, old, runs), benches, [*_ends(claims), *as_far_as])
        for name, claims in old.items()
    }
    differ = tuple(d for name, claims in old.items() for d in _differing(name, claims, new[name]))
    if not differ:
        write_claims([RunReading(**c) for c in read_jsonl(kept / CELLS)], new, kept)
    return differ


def _bench(text: str, data: str) -> Bench:
    bench = bind_bench(text)()
    if bench.digest != data:
        raise InputError(f"The rows of {text} are others than those that these runs asked; say --bench.")
    return bench


def _of(comparison: str, old: Mapping[str, Old], runs: Kept) -> Kept:
    """Return the runs of a comparison that its claims are of, in their order, one a condition and seed."""
    claims = old[comparison]
    seeds = {seed for c in claims for seed in c["seeds"]}
    named = (c["name"].partition("/")[2] for c in claims if c["name"].startswith("forget/"))
    conditions = list(dict.fromkeys(named))
    found: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for curve, m in runs_of(comparison, runs, alone=len(old) == 1):
        if m["condition"] in conditions and m["seed"] in seeds:
            found.setdefault(f"{m['condition']}-{m['seed']}", (curve, m))
    return sorted(found.values(), key=lambda run: (run[1]["seed"], conditions.index(run[1]["condition"])))


def _ends(claims: Old) -> list[str]:
    """Return the conditions at whose end claims were read."""
    return list(dict.fromkeys(c["at"].removeprefix(_OF) for c in claims if c["at"].startswith(_OF)))


def _claims(kept: Kept, benches: Mapping[str, Bench], as_far_as: Sequence[str]) -> tuple[Claim, ...]:
    if not kept:
        return ()
    _, first = kept[0]
    curves = {(m["seed"], m["condition"]): read_jsonl(curve) for curve, m in kept}
    trigger = first.get("trigger") or ""
    return claims_of(
        benches[first["bench"]],
        curves,
        per_set=first["per_set"],
        trigger=trigger,
        as_far_as=tuple(dict.fromkeys(as_far_as)),
    )


def _differing(comparison: str, old: Sequence[Mapping[str, Any]], new: Sequence[Claim]) -> Iterator[str]:
    """Name claims whose value or number of questions is another one, or that are made no more.

    Shares come and go with the interval of what they are shares of.
    """
    was = {(c["name"], c["at"]): c for c in old}
    now = {(c.name, c.at): c for c in new}
    for key, kept in was.items():
        what = f"{comparison}, {' at '.join(key)}"
        if key not in now:
            if ", share" not in key[0]:
                yield f"{what}: none"
        elif not _same(kept["interval"], now[key]):
            yield f"{what}: {kept['interval']['value']} is {now[key].interval.value}"


def _same(old: Mapping[str, Any], claim: Claim) -> bool:
    new = claim.interval
    asked = old["n"] == new.n or claim.name.startswith("forget/")  # once the runs, now their questions
    return asked and math.isclose(old["value"], new.value, abs_tol=1e-9)


def main(
    *folders: Path,
    beside: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = (),
    bench: str = "",
    as_far_as: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = (),
) -> None:
    """Compute claims of kept results again from their curves; exit code 3 where some don't follow from them.

    Args:
        folders: Kept results, as results/2026-11-30-attack.
        beside: Others, which hold the runs that a plan took over from another one.
        bench: What the runs were made on, where its name in manifests lacks options, as "world(more=8)".
        as_far_as: Conditions: the others are read, too, where as much is left as these end with.
    """
    failed = False
    for folder in folders:
        try:
            differ = recount(folder, beside, bench, as_far_as)
            said = f"{len(differ)} claims differ, as {differ[0]}" if differ else "computed again"
        except ForgetwellError as error:
            said, differ = str(error), (str(error),)
        failed |= bool(differ)
        print(f"{folder}: {said}")
    if failed:
        sys.exit(3)


if __name__ == "__main__":
    with told("python -m forgetwell.experiments.recounting"):
        cyclopts.run(main)
