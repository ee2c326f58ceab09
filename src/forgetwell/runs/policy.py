"""Release policies: a list of limits in TOML, read strictly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from forgetwell.calls import parse_call
from forgetwell.errors import ForgetwellError, InputError, MissingError, unknown_name
from forgetwell.files import digest, read_text, read_toml
from forgetwell.metrics.registry import ROW_METRICS, Range, canonical
from forgetwell.suites.types import Condition

Of = Literal["after", "loss", "increase"]
End = Literal["upper", "lower"]
_DEFAULT = Path(__file__).parent / "policies" / "default.toml"
MEASURES = ("utility/clean", "utility/trigger", "utility/gap", "scope", "leak", "scan/findings")
CONDITIONS = (*get_args(Condition), "gap")


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit that an interval's end must keep.

    Attributes:
        name: For people.
        measure: A split key such as ``retain/clean``, a role's sets under a condition such as
            ``forget/clean``, or one of `MEASURES`.
        of: ``after`` the released model's value, ``loss`` before - after, ``increase`` after - before.
        at_most: Limit of the upper end; exactly one of `at_most` and `at_least` is set.
        at_least: Limit of the lower end.
        confidence: Level of the interval in (0, 1); for ``scan/findings`` one minus the false discovery rate.
        cumulative: Limit against the first ancestor; None = the same limit.
        metric: Row metric.
        rows: Fewest rows that count as a measurement.
        optional: Whether the rule holds where fewer rows than that have the metric. An evaluation has to be
            there all the same, and a set that the measure names.
    """

    name: str
    measure: str
    of: Of = "after"
    at_most: float | None = None
    at_least: float | None = None
    confidence: float = 0.95
    cumulative: float | None = None
    metric: str = "rouge_l_recall"
    rows: int = 8
    optional: bool = False

    @property
    def end(self) -> End:
        """The end of the interval that must keep the limit."""
        return "lower" if self.at_most is None else "upper"

    @property
    def limit(self) -> float:
        """The limit."""
        return float(self.at_least if self.at_most is None else self.at_most)  # type: ignore[arg-type]

    @property
    def adds_up(self) -> bool:
        """Whether damage of several requests is summed: the rule compares with the model before."""
        return self.of != "after"


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules that must all hold."""

    name: str
    rules: tuple[Rule, ...]

    @property
    def digest(self) -> str:
        """Digest of everything that decides."""
        return digest(self)


def load_policy(name_or_path: str | Path = "default") -> Policy:
    """Read a policy: ``default``, or a TOML file of your own.

    Raises:
        MissingError: There is no such file.
        UnknownName: A key, measure or metric is unknown; the message has near matches.
        InputError: A rule can't be used; the message names it.
    """
    return parse_policy(read_toml(_file(name_or_path)), str(name_or_path))


def policy_text(name_or_path: str | Path = "default") -> str:
    """Return a policy as written."""
    return read_text(_file(name_or_path))


def _file(name_or_path: str | Path) -> Path:
    path = _DEFAULT if str(name_or_path) == "default" else Path(name_or_path)
    if not path.is_file():
        raise MissingError(
            f"There is no policy {path}. Start from ours: forgetwell gate --print-policy > {path.name}"
        )
    return path


def parse_policy(table: Mapping[str, Any], where: str) -> Policy:
    """Check a policy's table.

    Raises:
        UnknownName: A key, measure or metric is unknown.
        InputError: A rule is incomplete, or a value of the wrong kind or out of range.
    """
    _known(f"key of {where}", table, ("name", "rule"))
    rules = table.get("rule", [])
    if not isinstance(rules, list) or not rules or not all(isinstance(r, dict) for r in rules):
        raise InputError(f"{where} has no rules; write at least one [[rule]].")
    checked = tuple(_rule(rule, f"{where}, rule {k}") for k, rule in enumerate(rules, 1))
    names = [rule.name for rule in checked]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{where}: two rules are named {twice[0]!r}; give each a name of its own.")
    name = table.get("name", where)
    if not isinstance(name, str):
        raise InputError(f"{where}: name is {name!r}; write a string.")
    return Policy(name, checked)


def _rule(table: Mapping[str, Any], where: str) -> Rule:
    _known(f"key of {where}", table, tuple(f.name for f in fields(Rule)))
    missing = [f.name for f in fields(Rule) if f.default is MISSING and f.name not in table]
    if missing:
        raise InputError(f"{where} has no {missing[0]}; write {missing[0]} = …")
    for key, value in table.items():
        _check_value(where, key, value)
    _check_whole(table, where)
    numbers = {"at_most", "at_least", "confidence", "cumulative"}
    values: dict[str, Any] = {k: float(v) if k in numbers else v for k, v in table.items()}
    rule = Rule(**values)
    rule = replace(rule, metric=_metric(rule.metric, where))
    _check_limits(rule, where)
    return rule


def _check_value(where: str, key: str, value: Any) -> None:  # noqa: ANN401 - any TOML value
    if key in ("name", "measure", "of", "metric"):
        if not isinstance(value, str):
            raise InputError(f"{where}: {key} is {value!r}; write a string.")
        return
    if key == "optional":
        if not isinstance(value, bool):
            raise InputError(f"{where}: optional is {value!r}; write true or false.")
        return
    if key == "rows" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise InputError(f"{where}: rows is {value!r}; write a whole number of at least 1.")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{where}: {key} is {value!r}; write a number.")
    if key == "confidence" and not 0 < value < 1:
        raise InputError(f"{where}: confidence is {value}; write a number between 0 and 1, as 0.95.")


def _check_whole(table: Mapping[str, Any], where: str) -> None:
    of, measure = table.get("of", "after"), table["measure"]
    if of not in get_args(Of):
        raise unknown_name(f"value of 'of' in {where}", of, get_args(Of))
    _check_measure(measure, where)
    if ("at_most" in table) == ("at_least" in table):
        raise InputError(f"{where} needs one limit: at_most or at_least.")
    if "cumulative" in table and of == "after":
        raise InputError(f'{where}: cumulative needs of = "loss" or "increase".')
    if measure == "scan/findings" and (of != "after" or "at_least" in table or "optional" in table):
        raise InputError(f'{where}: scan/findings takes of = "after" and at_most, and is never optional.')


def _check_measure(measure: str, where: str) -> None:
    """Refuse what no evaluation can have; whether it has a set of that name is seen when it is judged."""
    name, _, condition = measure.rpartition("/")
    if measure in MEASURES or (name not in ("", "scan") and condition in CONDITIONS):
        return
    near = (
        (f"{name}/{c}" for c in CONDITIONS) if name not in ("", "scan") else ("forget/clean", "retain/clean")
    )
    raise unknown_name(f"measure in {where}", measure, (*MEASURES, *near))


def _metric(name: str, where: str) -> str:
    """Return a metric as evaluations call it."""
    try:
        return canonical(name)
    except ForgetwellError as error:
        raise type(error)(f"{where}: {error} One of your own needs --use FILE.py here too.") from None


def _check_limits(rule: Rule, where: str) -> None:
    """Refuse a limit that no value, or every value, could keep: as 45 of a share from 0 to 1."""
    low, high = _range(rule)
    for key in ("at_most", "at_least", "cumulative"):
        limit = getattr(rule, key)
        if limit is None or not ((low is not None and limit < low) or (high is not None and limit > high)):
            continue
        what = rule.measure if rule.measure == "scan/findings" else f"{rule.metric} of {rule.measure}"
        what += "" if rule.of == "after" else f" ({rule.of})"
        said = (
            f"from {low:g} to {high:g}"
            if low is not None and high is not None
            else (f"{low:g} or more" if low is not None else f"{high:g} or less")
        )
        raise InputError(f"{where}: {key} is {limit:g}, and {what} is {said}. Write a limit among these.")


def _range(rule: Rule) -> Range:
    """Return the lowest and highest value of what a rule limits; None = unbounded."""
    if rule.measure == "scan/findings":
        return 0.0, None
    low, high = ROW_METRICS.get(parse_call(rule.metric).name).facts["range"]
    differences = rule.measure.endswith("/gap") + rule.adds_up
    for _ in range(differences):
        low, high = (None, None) if low is None or high is None else (low - high, high - low)
    return low, high


def _known(kind: str, table: Mapping[str, Any], valid: tuple[str, ...]) -> None:
    for key in table:
        if key not in valid:
            raise unknown_name(kind, key, valid)
