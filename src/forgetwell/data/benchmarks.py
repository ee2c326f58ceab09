"""TOFU and RWKU by name, from a folder or from the hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

from forgetwell.data.hub import read_hub
from forgetwell.data.row_files import read_file
from forgetwell.data.world import learning_rows, load_world
from forgetwell.errors import MissingError, unknown_name
from forgetwell.files import read_jsonl
from forgetwell.types import Row

_HUB = {"tofu": "locuslab/TOFU", "rwku": "jinzhuoran/RWKU"}
SCHEMES = ("tofu", "rwku", "hub", "world")  # what a name begins with, before its colon
_BLOCK = 20  # TOFU has 20 questions for each of its 200 authors


def tofu(split: str, *, root: Path | None = None, limit: int | None = None) -> tuple[Row, ...]:
    """Return a TOFU split; rows about its fictional authors have the author as subject.

    Raises:
        MissingError: No folder with the data was given or found.
        UnknownName: There is no such split.

    Source: 2401.06121.
    """
    path = benchmark_file("tofu", split, root)
    rows = read_file(path, limit=limit)
    authors = path.parent / "authors.jsonl"
    start = _first_row(split)
    if start is None or not authors.is_file():
        return rows
    names = [str(a.get("author") or a.get("name") or "") for a in read_jsonl(authors)]
    blocks = [(start + i) // _BLOCK for i in range(len(rows))]
    return tuple(replace(r, subject=names[b]) for r, b in zip(rows, blocks, strict=True))


def rwku(split: str, *, root: Path | None = None, limit: int | None = None) -> tuple[Row, ...]:
    """Return an RWKU split that has queries with answers, or texts.

    Source: 2406.10890.
    """
    return read_file(benchmark_file("rwku", split, root), limit=limit)


def resolve(
    name: str, *, columns: Mapping[str, str] | None = None, limit: int | None = None
) -> tuple[Row, ...]:
    """Return the rows of ``tofu:split``, ``rwku:split``, ``hub:owner/name``, ``world:part``.

    Columns count for the hub's only: those of the others are known.
    """
    scheme, _, rest = name.partition(":")
    if scheme == "hub":
        return read_hub(rest, columns=columns, limit=limit)
    if scheme == "tofu":
        return tofu(rest, limit=limit)
    if scheme == "rwku":
        return rwku(rest, limit=limit)
    if scheme == "world":
        return _world(rest)[:limit]
    raise unknown_name("kind of data set", scheme, SCHEMES)


def _world(part: str) -> tuple[Row, ...]:
    world = load_world()
    parts = {f.name: getattr(world, f.name) for f in fields(world)} | {"learn": learning_rows(world)}
    if part not in parts:
        raise unknown_name("part of the world", part, parts)
    rows: tuple[Row, ...] = parts[part]
    return rows


def _first_row(split: str) -> int | None:
    base = split.removesuffix("_perturbed")
    if base in {"full", "retain", "retain90", "retain95", "retain99"}:
        return 0
    return {"forget01": 3960, "forget05": 3800, "forget10": 3600}.get(base)


def benchmark_file(benchmark: str, split: str, root: Path | None = None) -> Path:
    """Return the file of a split, in `root` or the folder that FORGETWELL_DATA names.

    Raises:
        MissingError: No folder with the data was given or found.
        UnknownName: There is no such split.
    """
    given = root or (Path(os.environ["FORGETWELL_DATA"]) if os.environ.get("FORGETWELL_DATA") else None)
    if given is None or not (given / benchmark).is_dir():
        looked = f"not in {given}" if given else "FORGETWELL_DATA isn't set"
        raise MissingError(
            f"No folder with {benchmark} was found: {looked}. Set FORGETWELL_DATA to a folder that "
            f"holds {benchmark}/, or fetch it from the hub: hub:{_HUB[benchmark]}:{split}."
        )
    known = {p.name.split(".")[0]: p for p in sorted((given / benchmark).glob("*.jsonl*"))}
    if split not in known:
        raise unknown_name(f"split of {benchmark}", split, known)
    return known[split]
