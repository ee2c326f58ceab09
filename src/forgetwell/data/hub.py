"""Rows from the hub, only when asked for by ``hub:``; needs the network unless cached."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from forgetwell.data.row_files import rows_of
from forgetwell.errors import InputError, MissingError
from forgetwell.types import Row


def hub_columns(name: str) -> tuple[str, ...]:
    """Return the names of the columns of ``owner/name[:config[:split]]``, those of its first record.

    Raises:
        InputError: The name isn't of that form.
        MissingError: The data set can't be loaded.
    """
    return tuple(next(iter(_load(*_parts(name))), {}))


def read_hub(
    name: str, *, columns: Mapping[str, str] | None = None, limit: int | None = None
) -> tuple[Row, ...]:
    """Read ``owner/name[:config[:split]]`` from the hub (split "train" unless given); runs no remote code.

    Raises:
        InputError: The name isn't of that form, or a row can't be used.
        MissingError: The data set can't be loaded.
    """
    repository, config, split = _parts(name)
    records = islice(_load(repository, config, split), limit)
    return rows_of(enumerate(records, start=1), f"hub:{name}", repository.split("/")[1], columns)


def _parts(name: str) -> tuple[str, str | None, str]:
    repository, config, split = (*name.split(":"), "", "")[:3]
    if repository.count("/") != 1 or name.count(":") > 2:
        raise InputError(f"hub:{name} was given; write hub:owner/name, optionally with :config:split.")
    return repository, config or None, split or "train"


def _load(repository: str, config: str | None, split: str) -> Any:  # noqa: ANN401 - a datasets.Dataset
    from datasets import load_dataset

    try:
        return load_dataset(repository, config, split=split)
    except Exception as error:  # the library's network and format errors share no base
        raise MissingError(
            f"Could not load {repository} (config {config}, split {split}) from the hub: {error}. "
            "Check the name and the network, or download a file and give its path."
        ) from error
