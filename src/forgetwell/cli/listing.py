"""What can be named in calls and objectives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from forgetwell.cli.app import FAILED, AsJson, app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forgetwell.registry import Family, Item


@app.command(name="list")
def list_items(family: str | None = None, *, json_: AsJson = False) -> None:
    """List what can be named in calls and objectives.

    Args:
        family: term, view, schedule, rule, method, attack, screen, repair, metric, set-metric,
            curve-metric, suite or bench; by default all.
        json_: Print JSON.
    """
    from forgetwell.errors import unknown_name

    families = all_families()
    if family is not None and family not in families:
        raise unknown_name("family", family, families)
    chosen = {k: f for k, f in families.items() if family in (None, k)}
    found = {k: {n: f.get(n).summary for n in f.names()} for k, f in chosen.items()}
    if json_:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for kind, items in found.items():
        print(kind)
        for name, summary in items.items():
            print(f"  {name:20} {summary}")


@app.command
def show(name: str) -> None:
    """Show an item's card: formula, source, tested defaults, when it fails, what it means.

    Names are unique in a family; where several families have one of that name, each card is shown.

    Args:
        name: Its name, as forgetwell list prints it.
    """
    from forgetwell.errors import unknown_name

    families = all_families()
    found = [family.get(name) for family in families.values() if name in family.names()]
    if not found:
        raise unknown_name("item", name, {n for f in families.values() for n in f.names()})
    print("\n\n".join(f"{name} ({item.family})\n\n{card(item)}" for item in found))


def card(item: Item) -> str:
    """Return what an item says of itself, without its name and family, which a heading says."""
    import inspect

    from forgetwell.calls import Call

    lines = [f"  {line}" for line in (*_facts(item), *_hyperparameters(item))]
    defaults = {k: p.default for k, p in item.hyperparameters.items() if not p.required}
    written = "as a term's parameter" if item.family == "view" else str(Call(item.name, defaults))
    ends = [f"\nReads: {', '.join(item.inputs)}", f"Written: {written}"]
    return "\n".join([f"{inspect.getdoc(item.function)}\n", *lines, *ends])


@app.command
def check(file: Path) -> int:
    """Try what a file's items must keep, as that a term's rows stand by themselves; exit code 3 = broken.

    Args:
        file: A Python file with terms, attacks, metrics, … of your own. It is run.
    """
    from forgetwell.contracts.checking import check_item
    from forgetwell.errors import InputError
    from forgetwell.own import use

    use(file)
    found = [item for family in all_families().values() for item in family.of_file(file)]
    if not found:
        raise InputError(f"{file} registers nothing; its functions need a decorator of forgetwell.extend.")
    checks = [c for item in found for c in check_item(item)]
    for c in checks:
        print(f"{'FAIL' if c.problem else 'ok  '} {c.family} {c.name}: {c.contract}")
        if c.problem:
            print(f"     {c.problem}")
    broken = sum(bool(c.problem) for c in checks)
    print(f"{len(found)} items, {len(checks)} contracts, {broken} broken.")
    return FAILED if broken else 0


def _hyperparameters(item: Item) -> Iterator[str]:
    for key, parameter in item.hyperparameters.items():
        yield f"{key} = {parameter.default!r}"


def _facts(item: Item) -> Iterator[str]:
    """Yield what a metric's decorator says of it; nothing for other items."""
    if "meaning" not in item.facts:
        return
    from forgetwell.metrics.describe import describe

    facts = describe(item)
    yield f"meaning: {facts.meaning}"
    yield f"range: {facts.range}"
    yield f"direction: {facts.direction}"
    yield f"reads: {facts.reads}"
    yield f"source: arXiv {facts.paper}"


def all_families() -> dict[str, Family]:
    """Return the families whose items have names, by what the command line calls them."""
    from forgetwell.experiments.bench import BENCHES
    from forgetwell.methods.registry import METHODS
    from forgetwell.metrics.registry import CURVE_METRICS, ROW_METRICS
    from forgetwell.metrics.sets import SET_METRICS
    from forgetwell.objectives.registry import TERMS
    from forgetwell.objectives.schedules import SCHEDULES
    from forgetwell.requests.attacks import ATTACKS
    from forgetwell.requests.repairs import REPAIRS
    from forgetwell.requests.screening import SCREENS
    from forgetwell.suites.registry import SUITES
    from forgetwell.training.rules import STEP_RULES
    from forgetwell.training.views import VIEWS

    return {
        "term": TERMS,
        "view": VIEWS,
        "schedule": SCHEDULES,
        "rule": STEP_RULES,
        "method": METHODS,
        "attack": ATTACKS,
        "screen": SCREENS,
        "repair": REPAIRS,
        "metric": ROW_METRICS,
        "set-metric": SET_METRICS,
        "curve-metric": CURVE_METRICS,
        "suite": SUITES,
        "bench": BENCHES,
    }
