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

SCHEMES = ("tofu", "rwku", "hub", "world")  # what a name begins with, before its colon
_BLOCK = 20  # TOFU has 20 questions for each of its 200 authors
_TOFU = (
    *("full", "retain90", "retain95", "retain99", "forget01", "forget05", "forget10"),
    *("forget01_perturbed", "forget05_perturbed", "forget10_perturbed", "retain_perturbed"),
    *("real_authors", "real_authors_perturbed", "world_facts", "world_facts_perturbed"),
    *("holdout01", "holdout05", "holdout10"),
)
_PROBES = ("forget_level1", "forget_level2", "forget_level3", "neighbor_level1", "neighbor_level2")
# Where the hub has our splits, as configuration and split; only those whose columns are understood there.
_HUB = {
    "tofu": {name: f"locuslab/TOFU:{name}:train" for name in _TOFU},
    "rwku": {
        **{name: f"jinzhuoran/RWKU:{name}:test" for name in (*_PROBES, "mia_forget", "mia_retain")},
        "passage": "jinzhuoran/RWKU:train_original_passage:train",
        "positive_phi": "jinzhuoran/RWKU:train_positive_phi3:train",
    },
}


def tofu(
    split: str, *, root: Path | None = None, limit: int | None = None, hub: bool = False
) -> tuple[Row, ...]:
    """Return a TOFU split; rows about its fictional authors have the author as subject.

    Args:
        split: As forget10.
        root: Folder that holds tofu/; by default the one that FORGETWELL_DATA names.
        limit: Read at most this many rows.
        hub: Whether a caller without a folder may take the hub's copy, which the error then names.

    Raises:
        MissingError: No folder with the data was given or found.
        UnknownName: There is no such split.

    Source: 2401.06121.
    """
    path = benchmark_file("tofu", split, root, hub=hub)
    rows = read_file(path, limit=limit)
    authors = path.parent / "authors.jsonl"
    start = _first_row(split)
    if start is None or not authors.is_file():
        return rows
    names = [str(a.get("author") or a.get("name") or "") for a in read_jsonl(authors)]
    blocks = [(start + i) // _BLOCK for i in range(len(rows))]
    return tuple(replace(r, subject=names[b]) for r, b in zip(rows, blocks, strict=True))


def rwku(
    split: str, *, root: Path | None = None, limit: int | None = None, hub: bool = False
) -> tuple[Row, ...]:
    """Return an RWKU split that has queries with answers, or texts; parameters as `tofu`'s.

    Source: 2406.10890.
    """
    return read_file(benchmark_file("rwku", split, root, hub=hub), limit=limit)


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
        return tofu(rest, limit=limit, hub=True)
    if scheme == "rwku":
        return rwku(rest, limit=limit, hub=True)
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


def benchmark_file(benchmark: str, split: str, root: Path | None = None, *, hub: bool = False) -> Path:
    """Return the file of a split, in `root` or the folder that FORGETWELL_DATA names.

    With `hub` the error names the hub's copy of the split, if it has one that can be read.

    Raises:
        MissingError: No folder with the data was given or found.
        UnknownName: There is no such split.
    """
    given = root or (Path(os.environ["FORGETWELL_DATA"]) if os.environ.get("FORGETWELL_DATA") else None)
    if given is None or not (given / benchmark).is_dir():
        looked = f"not in {given}" if given else "FORGETWELL_DATA isn't set"
        there = _HUB[benchmark].get(split) if hub else None
        raise MissingError(
            f"No folder with {benchmark} was found: {looked}. Set FORGETWELL_DATA to a folder that "
            f"holds {benchmark}/{f', or take the rows from the hub: hub:{there}' if there else ''}."
        )
    known = {p.name.split(".")[0]: p for p in sorted((given / benchmark).glob("*.jsonl*"))}
    if split not in known:
        raise unknown_name(f"split of {benchmark}", split, known)
    return known[split]
