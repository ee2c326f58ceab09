"""Runs of other plans that are runs of this one as well: what has been done once is not done again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetwell.errors import MissingError
from forgetwell.files import digest, read_json, write_json
from forgetwell.runs.folder import MANIFEST, STARTED, read_manifest
from forgetwell.runs.records import is_complete


@dataclass(frozen=True)
class Finished:
    """Finished runs by what they depend on."""

    runs: Mapping[str, Path]

    def find(self, settings: Mapping[str, Any]) -> Path | None:
        """Return the run of these settings, whatever its part was called in its own comparison."""
        return self.runs.get(_key(settings)) if self.runs else None


def find_finished(folders: Sequence[Path]) -> Finished:
    """Return all finished runs in some folders, or that these are.

    Raises:
        MissingError: A folder isn't there.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise MissingError(f"There is no folder {folder} to take runs from. Check --reuse.")
        for manifest in sorted(folder.rglob(MANIFEST)):
            if (manifest.parent / STARTED).is_file():
                found.setdefault(_key(read_json(manifest.parent / STARTED)), manifest.parent)
    return Finished(found)


def take_over(run: Path, folder: Path, settings: Mapping[str, Any]) -> None:
    """Make `folder` a copy of a finished run under its name in this comparison; the manifest comes last.

    An unfinished run in `folder` is removed; a finished one stays.
    """
    if is_complete(folder):
        return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns(MANIFEST, STARTED))
    write_json(folder / STARTED, settings)
    write_json(folder / MANIFEST, {**read_manifest(run), **settings})


def _key(settings: Mapping[str, Any]) -> str:
    """Return what a run depends on; a setting that an older run lacks counts as one that is empty."""
    return digest({name: value for name, value in settings.items() if value and name != "condition"})
