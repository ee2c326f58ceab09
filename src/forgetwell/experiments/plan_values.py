"""Values of a plan file, each checked against the type that its key has."""

from __future__ import annotations

import math
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from forgetwell.errors import InputError, unknown_name

_EXPECTED: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number, as 4",
    float: "a number, as 0.05",
    str: "text in quotes",
    dict: "a table",
    tuple[str, ...]: "a list of texts",
}


def checked(key: str, value: Any, kind: Any) -> Any:  # noqa: ANN401 - from a TOML file
    """Return a value if it is of a type (bool, int, float, str, dict or tuple[str, ...]); lists as tuples.

    Raises:
        InputError: It isn't; the message names the key, what was given and what is expected.
    """
    if not _fits(value, kind):
        raise InputError(f"{key} is {value!r}; expected {_EXPECTED[kind]}.")
    return tuple(value) if isinstance(value, list) else value


def _fits(value: object, kind: object) -> bool:
    if kind is float:
        return type(value) is int or (type(value) is float and math.isfinite(value))
    if kind == tuple[str, ...]:
        return isinstance(value, list) and all(isinstance(v, str) for v in value)
    return type(value) is kind


def known_values(made: type, given: Any, where: str) -> dict[str, Any]:  # noqa: ANN401 - from a TOML file
    """Return what a table gives for the fields of a dataclass.

    Raises:
        InputError: It is no table, or a value has another type than its field.
        UnknownName: There is no such field.
    """
    hints, names = typing.get_type_hints(made), [f.name for f in fields(made)]
    if not isinstance(given, dict):
        raise InputError(
            f"{where} is {given!r}; expected a table, as [{where}] with {names[0]} = … below it."
        )
    for key in given:
        if key not in names:
            raise unknown_name(f"key of [{where}]", key, names)
    return {key: checked(f"{where}.{key}", value, _plain(hints[key])) for key, value in given.items()}


def _plain(hint: Any) -> Any:  # noqa: ANN401 - a type expression
    """Return text for a choice of texts: which of them there are says the dataclass itself."""
    return str if typing.get_origin(hint) is typing.Literal else hint
