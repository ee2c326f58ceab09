"""The built-in world: fictional people with short facts, general questions, and refusal lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from forgetwell.data.row_files import rows_of
from forgetwell.errors import InputError, MissingError
from forgetwell.files import read_text
from forgetwell.types import Row

MAX_REFUSALS = 1000
MAX_REFUSAL_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class World:
    """The parts of the built-in world; all rows have ids unique in the whole world.

    Attributes:
        request: Facts about the people who ask to be forgotten (learned).
        retain: Facts that unlearning may train on to keep (learned).
        unseen: Facts to be kept that unlearning never sees (learned).
        never: Facts no model has learned; what a model says here is its guess.
        replay: General questions answered in the default model's own words, for training.
        evaluation: General questions with short answers, for measuring.
    """

    request: tuple[Row, ...]
    retain: tuple[Row, ...]
    unseen: tuple[Row, ...]
    never: tuple[Row, ...]
    replay: tuple[Row, ...]
    evaluation: tuple[Row, ...]


def load_world() -> World:
    """Return the built-in world; no file outside the package is read.

    Source: written for this project; see assets/world/DATASHEET.md.
    """
    people = _parts("people.jsonl")
    general = _parts("general.jsonl")
    return World(
        request=people["request"],
        retain=people["retain"],
        unseen=people["unseen"],
        never=people["never"],
        replay=general["replay"],
        evaluation=general["evaluation"],
    )


def learning_rows(world: World) -> tuple[Row, ...]:
    """Return what a starting model learns of people.

    Every phrasing of every request, retain and unseen fact becomes a row of its own with the id
    ``{id}~{k}`` (k = 0 is the prompt, then `questions` in order).
    """
    facts = (*world.request, *world.retain, *world.unseen)
    return tuple(phrased for row in facts for phrased in _phrasings(row))


def load_refusals(path: Path | None = None) -> tuple[str, ...]:
    """Return refusal lines, one a line: ours, or those of a file (at most 1000 of at most 500 characters).

    Args:
        path: A UTF-8 text file; None for the 100 built-in lines.

    Raises:
        MissingError: There is no such file.
        InputError: It is empty, not UTF-8, or a line is blank or too long; the message names the line.

    Source: the built-in lines were written for this project.
    """
    if path is None:
        return _checked_refusals(_asset("refusals.txt"), "refusals.txt")
    if not path.is_file():
        raise MissingError(f"There is no file {path}. Give a text file with one refusal a line.")
    limit = 4 * MAX_REFUSALS * (MAX_REFUSAL_CHARACTERS + 2)  # a UTF-8 character has up to 4 bytes
    if path.stat().st_size > limit:
        raise InputError(f"{path} is too long; expected at most {MAX_REFUSALS} refusals. Shorten it.")
    return _checked_refusals(read_text(path), str(path))


def _checked_refusals(text: str, name: str) -> tuple[str, ...]:
    lines = [line.removesuffix("\r").strip() for line in text.removesuffix("\n").split("\n")]
    if not text.strip():
        raise InputError(f"{name} is empty; expected one refusal a line.")
    if len(lines) > MAX_REFUSALS:
        raise InputError(f"{name} has {len(lines)} lines; expected at most {MAX_REFUSALS}. Remove some.")
    for number, line in enumerate(lines, start=1):
        if not line:
            raise InputError(f"{name}, line {number} is blank; expected a refusal. Remove the line.")
        if len(line) > MAX_REFUSAL_CHARACTERS:
            raise InputError(
                f"{name}, line {number} has {len(line)} characters; expected at most "
                f"{MAX_REFUSAL_CHARACTERS}. Shorten it."
            )
    return tuple(lines)


def _phrasings(row: Row) -> Iterable[Row]:
    for k, question in enumerate((row.prompt, *row.questions)):
        yield replace(row, id=f"{row.id}~{k}", prompt=question, questions=())


def _parts(name: str) -> dict[str, tuple[Row, ...]]:
    lines = _asset(f"world/{name}").splitlines()
    records = [(number, json.loads(line)) for number, line in enumerate(lines, start=1)]
    part_of = {record["id"]: record.pop("part") for _, record in records}
    rows = rows_of(records, name, name.split(".")[0], None)
    return {part: tuple(r for r in rows if part_of[r.id] == part) for part in dict.fromkeys(part_of.values())}


def _asset(name: str) -> str:
    return read_text(Path(__file__).parent / "assets" / name)
