"""The family of suites: what a model is asked, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from forgetwell.calls import Call, Value, parse_call
from forgetwell.data.turns import with_system
from forgetwell.errors import InputError
from forgetwell.registry import Family
from forgetwell.suites.types import Suite

Builder = TypeVar("Builder", bound=Callable[..., Suite])

SUITES = Family("suite", "forgetwell.suites.catalog")


def suite(*, paper: str) -> Callable[[Builder], Builder]:
    """Register a function ``(*, …) -> Suite``; its options are read from the signature."""

    def register(function: Builder) -> Builder:
        SUITES.add(function, paper=paper)
        return function

    return register


def served(suite: Suite, prompts: str | Sequence[str]) -> Suite:
    """Return the suite as a service with these system prompts gets it asked, in turn; "" = as it is."""
    return replace(suite, splits=tuple(replace(s, rows=with_system(s.rows, prompts)) for s in suite.splits))


def without_system(suite: Suite) -> tuple[Suite, tuple[str, ...]]:
    """Return the suite without the splits that bring system prompts, and a sentence that names them.

    It is for models whose chat template takes none.
    """
    left = tuple(s.key for s in suite.splits if s.condition in ("served", "system"))
    if not left:
        return suite, ()
    kept = tuple(s for s in suite.splits if s.key not in left)
    said = f"{', '.join(left)}: this model's chat template takes no system prompt."
    return replace(suite, splits=kept), (said,)


def build_suite(text: str, options: Mapping[str, Value] | None = None) -> Suite:
    """Return the suite that a call such as ``tofu(split=forget05)`` names, with further options.

    Raises:
        UnknownName: There is no such suite or option.
        InputError: The text isn't a call, an option is given twice or has the wrong type, or data can't be
            used.
        MissingError: Data isn't there.
    """
    call = parse_call(text)
    twice = sorted(call.arguments.keys() & (options or {}).keys())
    if twice:
        raise InputError(f"{twice[0]} was given inside {text!r} and as an option; give it once.")
    item, bound = SUITES.resolve(Call(call.name, {**call.arguments, **(options or {})}))
    built: Suite = item.function(**bound)
    return built
