"""Rows with roles: what each row is for, said in the file itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetwell.data.row_files import read_records, rows_of
from forgetwell.errors import InputError
from forgetwell.types import Row

ROLES = ("forget", "retain", "holdout", "utility")
_NAME = re.compile(r"[\w.-]{1,64}")


@dataclass(frozen=True, slots=True)
class RoleSet:
    """Rows of one role and name."""

    name: str
    role: str
    rows: tuple[Row, ...]


def read_role_sets(source: str | Path) -> tuple[RoleSet, ...]:
    """Read a file with a column ``role`` (forget, retain, holdout, utility) and perhaps ``set``, a name.

    Without ``set`` a row's set is named after its role. Sets come in the order in which they begin.

    Raises:
        MissingError: There is no such file.
        InputError: A row can't be used, has no such role, or one set has two roles; or a set is named forget
            or utility and isn't all of that role.
    """
    path = Path(source)
    records = read_records(path, ["role"])
    if not records:
        raise InputError(f"{path} is empty; at least one row is needed.")
    labels = [_label(record, f"{path}, line {number}") for number, record in records]
    rows = rows_of(records, str(path), path.name.split(".")[0], None)
    grouped: dict[tuple[str, str], list[Row]] = {}
    for label, row in zip(labels, rows, strict=True):
        grouped.setdefault(label, []).append(row)
    names = [name for name, _ in grouped]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{path}: the set {twice[0]!r} has rows of several roles; give each its own name.")
    for role in ("forget", "utility"):
        _check_name(path, role, names, [n for n, r in grouped if r == role])
    return tuple(RoleSet(name, role, tuple(found)) for (name, role), found in grouped.items())


def _check_name(path: Path, role: str, names: Sequence[str], own: Sequence[str]) -> None:
    """Refuse a set that has a role's name and isn't all of it: tables call the mean of its sets so."""
    if role in names and list(own) != [role]:
        raise InputError(
            f"{path}: the set {role!r} isn't all that has the role {role} ({', '.join(own) or 'nothing'} "
            "has). Name the set of each of its rows in the column set, or of none."
        )


def _label(record: Mapping[str, Any], where: str) -> tuple[str, str]:
    role = record["role"]
    if role not in ROLES:
        raise InputError(f"{where}: role is {role!r}; expected one of {', '.join(ROLES)}.")
    name = record.get("set") or role
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(f"{where}: set is {name!r}; expected a name of letters, digits, '.', '_' and '-'.")
    return name, role
