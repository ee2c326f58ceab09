"""The phrasings of the attack families, and the rules by which they enter a row."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError, unknown_name
from forgetwell.files import read_toml
from forgetwell.requests.template_sets import load_templates, rewrite
from forgetwell.requests.words import screened_text, with_screened_text
from forgetwell.types import Edit, Request, Row

Change = Callable[[Row, random.Random], Row]


@cache
def family_frames() -> dict[str, dict[str, Any]]:
    """Return assets/frames.toml: for each family, its words or phrasings."""
    return read_toml(Path(__file__).parent / "assets" / "frames.toml")


def family_words(family: str) -> tuple[str, ...]:
    """Return the words of a family in the file's order."""
    table = family_frames()[family]
    return tuple(table["words"].split()) if "words" in table else tuple(table)


def phrasings(family: str, templates: str) -> tuple[str, ...]:
    """Return the phrasings of a template file, or the family's own where none is named.

    Raises:
        MissingError: The file isn't there.
        InputError: It isn't a template set.
    """
    return load_templates(templates).templates if templates else tuple(family_frames()[family]["frames"])


def chosen(kind: str, names: Sequence[str], name: str, rng: random.Random) -> str:
    """Return `name`, or one drawn by lot where it is empty.

    Raises:
        UnknownName: There is no such name.
    """
    if name and name not in names:
        raise unknown_name(kind, name, names)
    return name or rng.choice(list(names))


def change_share(request: Request, p: float, rng: random.Random, change: Change) -> Request:
    """Return the request with every row changed independently with probability p.

    Raises:
        InputError: p is outside [0, 1].
    """
    if not 0.0 <= p <= 1.0:
        raise InputError(f"p={p} was given; p is a probability: choose a number from 0 to 1.")
    rows = tuple(change(row, rng) if rng.random() < p else row for row in request.rows)
    return replace(request, rows=rows)


def framed(row: Row, template: str, by: str) -> Row:
    """Return the row in a phrasing that holds {q}, its edit recorded."""
    return rewrite(row, [template], by)


def reworded(row: Row, text: str, template: str, by: str) -> Row:
    """Return the row with another screened text, its edit recorded; `template` says what was done."""
    edit = Edit(by, template, row.prompt, row.answer)
    return replace(with_screened_text(row, text), edit=edit) if text != screened_text(row) else row
