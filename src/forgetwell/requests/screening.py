"""Screens: what a provider can see in a request before unlearning anything."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from forgetwell.calls import parse_call
from forgetwell.registry import Family
from forgetwell.requests.kept_texts import keeping_texts
from forgetwell.types import Finding, Request, Row

if TYPE_CHECKING:
    from forgetwell.models.lm import LM

SCREENS = Family("screen", "forgetwell.requests.screens")


T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

_KEPT = 16


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a provider knows besides the request. What screens make of it is kept in it, and goes with it.

    Attributes:
        background: Ordinary prompts as users send them, none of them from the request; about many subjects,
            named in `Row.subject` where known. Polite ones belong in as often as they come.
        history: Earlier requests, oldest first.
        lm: The model that is to be unlearned, or None.
        retain: Rows whose answers the model knows, as rows to keep; () = those of the background.
    """

    background: tuple[Row, ...]
    history: tuple[Request, ...] = ()
    lm: LM | None = None
    retain: tuple[Row, ...] = ()
    _made: dict[Callable[..., Any], dict[Hashable, Any]] = field(init=False, repr=False, default_factory=dict)

    @property
    def known(self) -> tuple[Row, ...]:
        """Rows whose answers the model is taken to know."""
        return self.retain or self.background

    def learned(self, learn: Callable[..., T], *options: str) -> T:
        """Return what a function makes of the background, with options; it is called once with each."""
        made = self._made.setdefault(learn, {})
        if options not in made:
            made[options] = learn(self.background, *options)
        return cast(T, made[options])

    def remembered(self, make: Callable[[K, Evidence], T], about: K) -> T:
        """Return ``make(about, evidence)``; the last 16 of each function are kept for other screens."""
        made = self._made.setdefault(make, {})
        if about not in made:
            result = make(about, self)
            if len(made) >= _KEPT:
                del made[next(iter(made))]
            made[about] = result
        return cast(T, made[about])


F = TypeVar("F", bound=Callable[..., list[Finding]])


def screen(*, null: str, needs_lm: bool = False) -> Callable[[F], F]:
    """Register a function ``(request, evidence, *, …) -> list[Finding]`` as a screen.

    Args:
        null: The null hypothesis in a sentence.
        needs_lm: Whether it is skipped without a model.
    """

    def register(function: F) -> F:
        SCREENS.add(function, null=null, needs_lm=needs_lm)
        return function

    return register


def default_screens(*, lm: bool) -> tuple[str, ...]:
    """Return the names of all screens that can run, in a fixed order."""
    return tuple(n for n in SCREENS.names() if lm or not SCREENS.get(n).facts["needs_lm"])


@keeping_texts()
def run_screens(request: Request, evidence: Evidence, screens: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Return the findings of screens written as calls, ``inflation(alpha=0.01)``; by default of all.

    Screens that ask the model are left out by default where there is none. Rows of weight 0 aren't read.

    Raises:
        InputError: A text isn't a call, a value has the wrong type, or a screen needs a model.
        UnknownName: There is no such screen or hyperparameter.
    """
    found: list[Finding] = []
    counted = trained(request)
    for text in screens or default_screens(lm=evidence.lm is not None):
        item, arguments = SCREENS.resolve(parse_call(text))
        found += item.function(counted, evidence, **arguments)
    return tuple(found)


def trained(request: Request) -> Request:
    """Return a request's rows that unlearning trains on: those of weight 0 would only thin out the others."""
    return replace(request, rows=tuple(row for row in request.rows if row.weight > 0))


def suspicious(findings: Sequence[Finding]) -> bool:
    """Say whether a person should look before this request runs: some finding is an alarm."""
    return any(f.severity == "alarm" for f in findings)
