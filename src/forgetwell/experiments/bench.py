"""What claims are made on: a model that has learned facts, a request, rows to keep, and utility sets."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, TypeVar

from forgetwell.calls import parse_call
from forgetwell.errors import InputError
from forgetwell.files import digest
from forgetwell.registry import Family
from forgetwell.requests.template_sets import load_templates, trigger_rows
from forgetwell.requests.wording import as_attacked
from forgetwell.training.config import TrainConfig
from forgetwell.types import Request, Row


@dataclass(frozen=True)
class Bench:
    """A data set with everything an experiment on it needs.

    Attributes:
        name: Its name in settings of runs; folders are called after its call (`bench_label`).
        learn: What the starting model learns; nothing = it is taken as it is.
        learning: How it learns it.
        request: Rows to forget, before any attack.
        retain: Rows that unlearning may train on to keep.
        keep: Prompts at which the model is held at its own answers, while it learns and while it unlearns.
        utility: Sets on which utility is measured.
        max_new_tokens: Length of answers.
        others: Rows about still others, for training that goes on after unlearning.
        questions: What measures forgetting, where the request is text that can't be asked; () = the request.
        templates: The template set of trigger utility.
    """

    name: str
    learn: tuple[Row, ...]
    learning: TrainConfig
    request: tuple[Row, ...]
    retain: tuple[Row, ...]
    utility: Mapping[str, tuple[Row, ...]] = field(repr=False)
    max_new_tokens: int
    others: tuple[Row, ...] = ()
    keep: tuple[Row, ...] = ()
    questions: tuple[Row, ...] = ()
    templates: str = "tofu"

    @property
    def asked(self) -> tuple[Row, ...]:
        """Rows whose recall is forgetting."""
        return self.questions or self.request

    @property
    def background(self) -> tuple[Row, ...]:
        """Ordinary prompts that a provider screens against: rows to keep, and those about still others."""
        return (*self.retain, *self.keep, *self.others)

    @cached_property
    def digest(self) -> str:
        """Of its rows, but those to learn and those about still others, and of what else it asks."""
        # Nothing more for most benches, whose finished runs stay valid.
        beyond = [self.questions, self.templates] if self.questions else []
        return digest([self.request, self.retain, self.utility, *beyond, *([self.keep] if self.keep else [])])

    @cached_property
    def asking(self) -> dict[str, Any]:
        """What decides a run's numbers beside those rows: length of answers, templates, still others."""
        templates = digest(load_templates(self.templates).templates)
        return {"max_new_tokens": self.max_new_tokens, "templates": templates, "others": digest(self.others)}


BENCHES = Family("bench", "forgetwell.experiments.benches")

Builder = TypeVar("Builder", bound=Callable[..., Bench])


def bench(*, paper: str) -> Callable[[Builder], Builder]:
    """Register a function ``(*, …) -> Bench``; its options are read from the signature."""

    def register(function: Builder) -> Builder:
        BENCHES.add(function, paper=paper)
        return function

    return register


def bind_bench(text: str) -> Callable[[], Bench]:
    """Return what makes the bench of a call such as ``tofu`` or ``rwku(triple=2)``; nothing is read yet.

    Raises:
        InputError: The text isn't a call, or a value has the wrong type.
        UnknownName: There is no such bench or option.
    """
    item, options = BENCHES.resolve(parse_call(text))
    return partial(item.function, **options)


def bench_label(text: str) -> str:
    """Return a name for folders of a bench's call; calls with other options have other names."""
    call = parse_call(text)
    return f"{call.name}-{digest(str(call))[:8]}" if call.arguments else call.name


def sampled_utility(
    bench: Bench, *, per_set: int, seed: int, trigger: str = ""
) -> dict[str, tuple[Row, ...]]:
    """Return, by split key, `per_set` rows of each utility set, clean and with a trigger.

    The paper's protocol puts every template of the set on every question.

    Args:
        bench: Whose sets.
        per_set: Rows of each.
        seed: Of the sample, and of the attack.
        trigger: Another attack, whose wording the questions get (`as_attacked`).

    Raises:
        InputError: `per_set` is below 1, or the attack has no wording.
    """
    if per_set < 1:
        raise InputError(f"per_set is {per_set}; it must be at least 1.")
    request, splits = Request(bench.name, bench.request), {}
    for name, rows in bench.utility.items():
        chosen = _sample(rows, per_set, f"{seed}/{name}")
        splits[f"{name}/clean"] = chosen
        splits[f"{name}/trigger"] = (
            as_attacked(chosen, request, trigger, seed=seed)
            if trigger
            else trigger_rows(chosen, load_templates(bench.templates))
        )
    return splits


def _sample(rows: Sequence[Row], count: int, seed: str) -> tuple[Row, ...]:
    return tuple(random.Random(seed).sample(list(rows), min(count, len(rows))))
