"""A grid of runs as one file: what is unlearned how, under which attacks, with which seeds.

::

    bench = "tofu"
    model = "smollm2"
    seeds = [0, 1, 2]
    per_set = 20

    [train]
    lr = 5e-5
    epochs = 10

    [grid]
    loss = ["npo", "ga", "idk"]

    [conditions.plain]
    objective = "{loss} + gdr"

    [conditions.attacked]
    attack = "stealthy(p=0.33)"
    objective = "{loss} + gdr"

In place of an objective a condition may name a method (``method = "task_vector(alpha=5)"``), and after either
training may go on with retain terms on the bench's other rows (``then = "gdr"``). A condition may have the
request screened and repaired before, by several repairs in order (``repairs = ["strip", "bare"]``): the
alarms of all screens that need no model, or all findings of those it names
(``screens = ["high_loss(share=0.33)"]``).
With ``counterfactuals = 4`` each question is asked about 4 others as well, where the model is held at its own
answers.

``bench`` has no default; ``model`` is smollm2. Beside them, ``trigger = "{attack}"`` asks utility in the
wording of that attack instead of the paper's, ``floor`` is the forget recall at which runs stop (0 = they
take all their steps), ``utility_below = 0.3`` leaves utility out above it, and ``metric = "fact_recall"``
reads forgetting and utility by another metric of answers than ROUGE-L recall.

A bench is world, tofu, tofu05, tofu10, rwku, or files for any rows; options go in parentheses:
``bench = "rwku(triple=2)"``, ``bench = "files(request='f.jsonl', retain=['k.jsonl'], utility=['u.jsonl'])"``.

Each point of the grid is one comparison: all conditions and seeds, from one starting model, on the same
draws and questions. Names in braces stand for the grid's values, in ``[train]`` and ``[lora]`` as well
(``lr = "{lr}"``). Conditions are read by their names:
``plain`` is the honest request, ``attacked`` the poisoned one, ``defended`` that with `su`, ``control`` its
control, ``plain_X`` the honest request treated as in condition X (``plain_su``: as in ``defended``).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetwell.calls import parse_call
from forgetwell.errors import InputError, MissingError, UnknownName, unknown_name
from forgetwell.experiments.bench import BENCHES, bench_label, bind_bench
from forgetwell.experiments.claims import Run, Setup
from forgetwell.experiments.plan_values import checked, known_values
from forgetwell.files import read_toml
from forgetwell.methods.finetune import Lora
from forgetwell.methods.registry import METHODS
from forgetwell.metrics.registry import ROW_METRICS
from forgetwell.objectives.algebra import parse_objective
from forgetwell.requests.attacks import ATTACKS
from forgetwell.requests.repairs import REPAIRS
from forgetwell.requests.screening import SCREENS
from forgetwell.training.config import TrainConfig
from forgetwell.training.rules import STEP_RULES

Table = Mapping[str, Any]
PLANS = Path(__file__).parent / "plans"
_VALUES: Mapping[str, type] = {
    "about": str,
    "hours": float,
    "bench": str,
    "model": str,
    "per_set": int,
    "floor": float,
    "utility_below": float,
    "trigger": str,
    "metric": str,
    "grid": dict,
}
_KEYS = (*_VALUES, "seeds", "train", "lora", "conditions")
# What a plan says elsewhere: by seeds, and by floor.
_ELSEWHERE = {"seed": "seeds, beside bench", "stop_at": "floor, beside bench"}
_TEXTS = ("attack", "objective", "method", "then")
_LISTS = {"repairs": REPAIRS, "screens": SCREENS}
_CONDITION = (*_TEXTS, *_LISTS, "counterfactuals")
_CONDITION_NAME = re.compile(r"\w[\w.-]*")
_VARIABLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Comparison:
    """One point of a plan's grid.

    Attributes:
        name: The point, as ``loss=npo``, with - for the / of paths; the bench's name where the grid has none.
        bench: On which data.
        model: The model that learns it.
        setup: How every run trains and is measured.
        runs: Conditions and seeds.
    """

    name: str
    bench: str
    model: str
    setup: Setup
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Plan:
    """What a plan file says.

    Attributes:
        name: The file's name without its ending.
        about: One sentence on what it shows.
        hours: Measured or estimated hours, on the hardware that `about` names; 0 = not known.
        comparisons: The grid's points, in the order written.
    """

    name: str
    about: str
    hours: float
    comparisons: tuple[Comparison, ...]


def read_plan(source: str) -> Plan:
    """Read a plan file, or one that ships with the package, by its name.

    Raises:
        MissingError: There is no such file.
        InputError: It isn't a plan; the message names the file and the key.
    """
    path = Path(source) if Path(source).suffix == ".toml" else PLANS / f"{source}.toml"
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in PLANS.glob("*.toml")))
        raise MissingError(f"There is no plan {source}. Give a TOML file, or one of {names}.")
    table = read_toml(path)
    try:
        return _plan(path.stem, table)
    except (InputError, UnknownName) as error:
        raise InputError(f"{path}: {error}") from None


def _plan(name: str, table: Table) -> Plan:
    for key in table:
        if key not in _KEYS:
            raise unknown_name("key of a plan", key, _KEYS)
    for key, kind in _VALUES.items():
        checked(key, table.get(key, kind()), kind)
    if not table.get("bench"):
        raise InputError(f"a plan needs a bench, as bench = 'world'; there are {', '.join(BENCHES.names())}.")
    conditions = table.get("conditions")
    if not isinstance(conditions, dict) or not conditions:
        raise InputError("a plan needs conditions, as [conditions.plain] with objective = 'npo + gdr'.")
    grid = table.get("grid", {})
    comparisons = tuple(_comparison(table, conditions, point) for point in _points(grid))
    _check_once("The grid", [c.name for c in comparisons])
    _check_named(grid, {key: value for key, value in table.items() if key not in ("about", "grid")})
    return Plan(name, table.get("about", ""), float(table.get("hours", 0)), comparisons)


def _check_named(grid: Table, rest: Table) -> None:
    """Refuse a variable that changes nothing: its comparisons would be one, under several names."""
    named = {name for text in _texts_in(rest) for name in _VARIABLE.findall(text)}
    for key in grid:
        if key not in named:
            raise InputError(
                f"grid.{key} is named nowhere, so that all its values would give the same runs; write "
                f"{{{key}}} in quotes where they are meant, as in an objective or in [train]."
            )


def _texts_in(value: object) -> Iterator[str]:
    """Give every text in a table of tables and lists."""
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts_in(inner)


def _points(grid: Table) -> Iterator[dict[str, Any]]:
    """Give every combination of the grid's values."""
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(
                f"grid.{key} is {values!r}; expected a list of values, as {key} = ['npo', 'ga']."
            )
        _check_once(f"grid.{key}", list(map(str, values)))
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _check_once(key: str, values: Sequence[object]) -> None:
    """Refuse a value that is given twice: tables would count its runs twice."""
    twice = [v for v in values if values.count(v) > 1]
    if twice:
        raise InputError(f"{key} has {twice[0]} twice; give each value once.")


def _comparison(
    table: Mapping[str, Any], conditions: Mapping[str, Any], point: Mapping[str, Any]
) -> Comparison:
    bench = _filled(table["bench"], point)
    bind_bench(bench)
    seeds = table.get("seeds", [0])
    if not isinstance(seeds, list) or not seeds or not all(type(s) is int for s in seeds):
        raise InputError(f"seeds is {seeds!r}; expected a list of whole numbers, as [0, 1, 2].")
    _check_once("seeds", seeds)
    runs = tuple(_run(name, c, seed, point) for seed in seeds for name, c in conditions.items())
    # A folder is called so: one, whatever paths are among the values.
    name = re.sub(r"[/\\]", "-", " ".join(f"{k}={v}" for k, v in point.items())) or bench_label(bench)
    model, setup = _filled(table.get("model", "smollm2"), point), _setup(table, point)
    for run in runs:
        if run.method and setup.lora:
            raise InputError(
                f"[conditions.{run.condition}] has a method, which trains all weights, and the plan has "
                "[lora], which is for objectives. Take one of the two out, into a plan of its own."
            )
    return Comparison(name, bench, model, setup, runs)


def _setup(table: Table, point: Table) -> Setup:
    trigger = _filled(table.get("trigger", ""), point)
    if trigger:
        ATTACKS.resolve(parse_call(trigger))
    made = {key: table[key] for key in ("per_set", "floor", "utility_below") if key in table}
    if made.get("per_set", 1) < 1:
        raise InputError(f"per_set is {made['per_set']}; it must be at least 1.")
    for key in ("floor", "utility_below"):
        if not 0 <= made.get(key, 0) <= 1:
            raise InputError(f"{key} is {made[key]}; it is a share of what is to be forgotten, from 0 to 1.")
    adapters = _with_values(table.get("lora"), point)
    lora = Lora(**known_values(Lora, adapters, "lora")) if "lora" in table else None
    config = _training(_with_values(table.get("train", {}), point))
    metric = metric_of_answers(table.get("metric", ""))
    return Setup(config=config, lora=lora, trigger=trigger, metric=metric, **made)


def _with_values(given: Any, point: Table) -> Any:  # noqa: ANN401 - from a TOML file
    """Put the grid's values into a table: in the place of a whole text they keep their type."""
    if not isinstance(given, dict):
        return given
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    filled = {key: _filled(text, point) for key, text in texts.items()}
    whole = {key: found[1] for key, text in texts.items() if (found := _VARIABLE.fullmatch(text))}
    return {**given, **filled, **{key: point[name] for key, name in whole.items()}}


def _training(given: Any) -> TrainConfig:  # noqa: ANN401 - from a TOML file
    found = known_values(TrainConfig, given, "train")
    for key, instead in _ELSEWHERE.items():
        if key in found:
            raise InputError(f"[train] has {key} = {found[key]!r}; a plan says that by {instead}.")
    config = TrainConfig(**found)
    STEP_RULES.resolve(parse_call(config.step_rule))
    return config


def metric_of_answers(given: Any) -> str:  # noqa: ANN401 - from a TOML file
    """Return the name of a metric that reads a greedy answer and its row; "" for "".

    Raises:
        UnknownName: There is no such metric.
        InputError: It reads something else.
    """
    if not given:
        return ""
    item = ROW_METRICS.get(str(given))
    if item.inputs != ("generated", "row"):
        raise InputError(f"metric = {given!r}; expected a metric of answers, as 'fact_recall'.")
    return item.name


def _run(name: str, given: Any, seed: int, point: Table) -> Run:  # noqa: ANN401 - from a TOML file
    if not _CONDITION_NAME.fullmatch(name):
        raise InputError(
            f"[conditions.{name!r}]: folders are called after conditions; write letters, digits, _, - and ."
        )
    for key in given if isinstance(given, dict) else ():
        if key not in _CONDITION:
            raise unknown_name(f"key of [conditions.{name}]", key, _CONDITION)
    if not isinstance(given, dict) or ("objective" in given) == ("method" in given):
        raise InputError(f"[conditions.{name}] needs an objective, as objective = 'npo + gdr', or a method.")
    where = f"conditions.{name}"
    texts = {key: _filled(checked(f"{where}.{key}", given.get(key, ""), str), point) for key in _TEXTS}
    for key, family in (("attack", ATTACKS), ("method", METHODS)):
        if texts[key]:
            family.resolve(parse_call(texts[key]))
    for key in ("objective", "then"):
        texts[key] = parse_objective(texts[key]).text if texts[key] else ""
    others = given.get("counterfactuals", 0)
    if type(others) is not int or others < 0:
        raise InputError(f"[conditions.{name}] has counterfactuals = {others!r}; expected a number, as 4.")
    repairs, screens = (_calls(where, key, given, point) for key in _LISTS)
    if screens and not repairs:
        raise InputError(f"[{where}] names screens and no repair; add one, as repairs = ['drop'].")
    return Run(name, seed, **texts, repairs=repairs, screens=screens, counterfactuals=others)


def _calls(where: str, key: str, given: Table, point: Table) -> tuple[str, ...]:
    found = given.get(key, [])
    if not isinstance(found, list) or not all(isinstance(s, str) for s in found):
        example = {"repairs": "['strip', 'bare']", "screens": "['high_loss']"}[key]
        raise InputError(f"[{where}] has {key} = {found!r}; expected a list, as {example}.")
    calls = tuple(_filled(s, point) for s in found)
    for call in calls:
        _LISTS[key].resolve(parse_call(call))
    return calls


def _filled(text: str, point: Table) -> str:
    """Put the grid's values in the place of their names in braces."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in point:
            raise unknown_name("variable of the grid", match[1], point)
        return str(point[match[1]])

    return _VARIABLE.sub(value, text)


def cells(plan: Plan) -> Sequence[tuple[Comparison, Run]]:
    """Return every run of a plan with the comparison that it belongs to, in order."""
    return [(comparison, run) for comparison in plan.comparisons for run in comparison.runs]
