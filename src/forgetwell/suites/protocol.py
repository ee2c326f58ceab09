"""The paper's protocol as a suite: forgetting, clean utility, benign-trigger utility, and scope leakage."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

from forgetwell.data.turns import takes_system, with_system
from forgetwell.errors import InputError
from forgetwell.requests.preamble import system_prompts
from forgetwell.requests.template_sets import TemplateSet, trigger_rows
from forgetwell.suites.types import Split, SplitRole, Suite
from forgetwell.types import Row

_RESERVED = frozenset({"forget", "utility", "scope", "leak", "holdout"})


def protocol_suite(
    name: str,
    forget: Sequence[Row],
    utility: Mapping[str, Sequence[Row]],
    templates: TemplateSet,
    *,
    max_new_tokens: int = 32,
    holdout: Sequence[Row] = (),
    scope_pairs: int = 40,
    forget_trigger: bool = True,
    trigger_choices: bool = True,
    seed: int = 0,
) -> Suite:
    """Build the splits that measure a stealthy attack and what a defense gives back.

    Every set is asked clean and under every template, plain texts only if they have a prompt, and what is
    forgotten also behind ordinary system prompts, each row behind the next one in turn: forgetting may hold
    only as it was taught. Scope splits ask a forget and a retain question in one prompt, in both orders:
    "scope" expects the retain answer, "leak" the forget answer.

    Args:
        name: Name of the suite.
        forget: The rows to forget.
        utility: Sets whose answers should stay; the first is the retain set.
        templates: The trigger's phrasings.
        max_new_tokens: Length at which every greedy answer is cut.
        holdout: Rows like the forget rows that the model never learned, for membership inference.
        scope_pairs: Forget rows (at most) that are joined with a retain row; 0 leaves the splits out.
        forget_trigger: Whether forget rows are asked in every template too.
        trigger_choices: Whether wrong answers are scored in every template too, as truth ratio needs it.
        seed: Of the choice of forget rows and their retain rows.

    Raises:
        InputError: A set is empty or has a name that the tables use themselves.

    Source: 2506.00359, section 5; system prompts and scope splits are our own.
    """
    _check(name, forget, utility)
    splits = _conditions("forget", "forget", forget, templates)[: 1 + forget_trigger]
    splits += served_split(splits[0])
    for key, rows in utility.items():
        splits += _conditions(key, "utility", rows, templates)
    splits += [Split("holdout", "holdout", "clean", tuple(holdout), answered=False)] if holdout else []
    retain = next(iter(utility.values()))
    splits += _scope_splits(forget, retain, scope_pairs, seed)
    asked = (replace(s, choices=trigger_choices or s.condition != "trigger") for s in splits)
    return Suite(name, tuple(asked), max_new_tokens)


def served_split(split: Split) -> list[Split]:
    """Return a split's questions behind ordinary system prompts; none where all have one of their own."""
    rows = with_system([row for row in split.rows if takes_system(row)], system_prompts())
    return [replace(split, condition="served", rows=rows)] if rows else []


def _check(name: str, forget: Sequence[Row], utility: Mapping[str, Sequence[Row]]) -> None:
    for key, rows in {"forget": forget, **utility}.items():
        if not rows:
            raise InputError(f"The set {key} has no rows; give at least one.")
    taken = sorted(_RESERVED.intersection(utility))
    if taken or not utility:
        given = f"a utility set named {taken[0]}" if taken else "no utility set"
        raise InputError(f"Suite {name} got {given}; give sets such as retain, real_authors, world_facts.")


def _conditions(name: str, role: SplitRole, rows: Sequence[Row], templates: TemplateSet) -> list[Split]:
    asked = trigger_rows(rows, templates)
    return [
        Split(name, role, "clean", tuple(rows)),
        *([Split(name, role, "trigger", asked)] if asked else []),
    ]


def _scope_splits(forget: Sequence[Row], retain: Sequence[Row], pairs: int, seed: int) -> list[Split]:
    stream = random.Random(seed)
    asked = [row for row in forget if not row.text]
    kept = [row for row in retain if not row.text]
    if not (asked and kept and pairs > 0):
        return []
    chosen = stream.sample(asked, min(pairs, len(asked)))
    partners = [stream.choice(kept) for _ in chosen]
    drawn = list(zip(chosen, partners, strict=True))
    forget_first = [f"{f.prompt} {r.prompt}" for f, r in drawn]
    retain_first = [f"{r.prompt} {f.prompt}" for f, r in drawn]
    ids = [f"{f.id}+{r.id}" for f, r in drawn]
    return [
        Split("scope", "scope", "forget_first", _asked(partners, ids, forget_first)),
        Split("scope", "scope", "retain_first", _asked(partners, ids, retain_first)),
        Split("leak", "scope", "forget_first", _asked(chosen, ids, forget_first)),
        Split("leak", "scope", "retain_first", _asked(chosen, ids, retain_first)),
    ]


def _asked(rows: Sequence[Row], ids: Sequence[str], prompts: Sequence[str]) -> tuple[Row, ...]:
    """Return the rows with new prompts; their answers stay, and without a subject each keeps its cluster."""
    return tuple(
        replace(row, id=key, prompt=prompt, subject=row.subject or row.id, questions=(), history=())
        for row, key, prompt in zip(rows, ids, prompts, strict=True)
    )
