"""Families of items: one function each, registered by a decorator, found by a scan of a package.

An item's keyword-only parameters are its hyperparameters: name, type and default are read from the
signature by the command line, the docs and the run manifest. Positional parameters are what it works on.

Items of one's own are registered by the same decorators, wherever they stand (`own.py`).
"""

from __future__ import annotations

import importlib
import inspect
import marshal
import pkgutil
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetwell.beside import code_digest
from forgetwell.calls import Call, Value
from forgetwell.errors import InputError, unknown_name
from forgetwell.files import sha256
from forgetwell.own import use_installed

_LISTS = (tuple, list, Sequence)  # as which a list is annotated; it is given as a tuple
_UNIONS = (typing.Union, types.UnionType)


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """One keyword-only parameter of an item."""

    name: str
    type: Any
    default: Any
    required: bool


@dataclass(frozen=True)
class Item:
    """A registered function with what its decorator says of it.

    Attributes:
        family: What it is, as "term".
        name: Its name in calls.
        function: The function itself.
        facts: What its decorator says of it.
        inputs: Its positional parameters, what it works on.
        hyperparameters: Its keyword-only parameters.
        code: SHA-256 of an item of one's own, of its whole file, whose other functions it may call, with the
            files beside it that it imports; of what is typed into a notebook or stands in the program that
            runs, of the function alone. "" for items that ship with forgetwell, whose version says as much.
    """

    family: str
    name: str
    function: Callable[..., Any]
    facts: Mapping[str, Any]
    inputs: tuple[str, ...]
    hyperparameters: Mapping[str, Hyperparameter]
    code: str = ""

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    def bind(self, arguments: Mapping[str, Value]) -> dict[str, Any]:
        """Return all hyperparameters: defaults overlaid with `arguments`, each checked against its type.

        Raises:
            InputError: A value has the wrong type, or a required one is missing.
            UnknownName: There is no such hyperparameter.
        """
        for key in arguments:
            if key not in self.hyperparameters:
                raise unknown_name(f"hyperparameter of {self.name}", key, self.hyperparameters)
        bound: dict[str, Any] = {}
        for key, parameter in self.hyperparameters.items():
            if key in arguments:
                bound[key] = _checked(self.name, parameter, arguments[key])
            elif parameter.required:
                raise InputError(f"{self.name} needs {key}=…: write {self.name}({key}=…).")
            else:
                bound[key] = parameter.default
        return bound


@dataclass
class Family:
    """All items of one kind. `package` is scanned on first use.

    Attributes:
        kind: Singular noun, used in messages ("term").
        package: Package whose modules register the items on import.
    """

    kind: str
    package: str
    _items: dict[str, Item] = field(default_factory=dict)
    _scanned: bool = False

    def add(self, function: Callable[..., Any], **facts: Any) -> None:  # noqa: ANN401 - free-form facts
        """Register `function` under its own name.

        Raises:
            InputError: Another module has registered a function of that name.
        """
        if not _ships(function.__module__):
            self._scan()  # so that a name that ships is known to be taken
        name = function.__name__
        known = self._items.get(name)
        if known is not None and known.function.__module__ != function.__module__:
            raise InputError(
                f"There is a {self.kind} named {name!r} already, in {known.function.__module__}. Give this "
                "one another name."
            )
        inputs, hyperparameters = _signature(function)
        code = _code(function)
        self._items[name] = Item(self.kind, name, function, facts, inputs, hyperparameters, code)

    def names(self) -> list[str]:
        """Return the names of all items, sorted."""
        self._scan()
        return sorted(self._items)

    def get(self, name: str) -> Item:
        """Return the item of that name.

        Raises:
            UnknownName: There is none; the message has near matches.
        """
        self._scan()
        if name not in self._items:
            raise unknown_name(self.kind, name, self._items)
        return self._items[name]

    def of_file(self, path: Path) -> list[Item]:
        """Return the items that a file of one's own has registered."""
        self._scan()
        file = str(path.resolve())
        return [i for i in self._items.values() if i.code and inspect.getsourcefile(i.function) == file]

    def resolve(self, call: Call) -> tuple[Item, dict[str, Any]]:
        """Return the item that `call` names and its bound hyperparameters."""
        item = self.get(call.name)
        return item, item.bind(call.arguments)

    def _scan(self) -> None:
        if self._scanned:
            return
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        self._scanned = True
        use_installed()


def own_code(items: Iterable[Item]) -> dict[str, str]:
    """Return the digest of the code of each item that doesn't ship with forgetwell, by family and name."""
    return {f"{item.family} {item.name}": item.code for item in items if item.code}


def _code(function: Callable[..., Any]) -> str:
    if _ships(function.__module__):
        return ""
    try:
        file = inspect.getsourcefile(function)
        if function.__module__ != "__main__" and file and Path(file).is_file():
            return code_digest(Path(file))
        source = inspect.getsource(function)
    except (OSError, TypeError):  # typed where nothing keeps the source
        source = marshal.dumps(function.__code__).hex()
    return sha256(source).removeprefix("sha256:")


def _ships(module: str) -> bool:
    return module.partition(".")[0] == "forgetwell"


def _signature(
    function: Callable[..., Any],
) -> tuple[tuple[str, ...], dict[str, Hyperparameter]]:
    hints = typing.get_type_hints(function)
    inputs, hyperparameters = [], {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            required = parameter.default is inspect.Parameter.empty
            default = None if required else parameter.default
            hyperparameters[name] = Hyperparameter(name, hints.get(name, Any), default, required)
        else:
            inputs.append(name)
    return tuple(inputs), hyperparameters


def _checked(owner: str, parameter: Hyperparameter, value: Value) -> Any:  # noqa: ANN401 - any type
    if _fits(value, parameter.type):
        return float(value) if parameter.type is float else value  # type: ignore[arg-type]
    wanted = _in_words(parameter.type)
    raise InputError(f"{owner}({parameter.name}={value!r}): expected {wanted}, got {value!r}.")


def _in_words(wanted: Any) -> str:  # noqa: ANN401 - a type expression
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin is typing.Literal:
        return f"one of {', '.join(map(repr, arguments))}"
    if (origin or wanted) in _LISTS:
        return "a list"
    if origin in _UNIONS:
        return " or ".join(map(_in_words, arguments))
    return "None" if wanted is type(None) else getattr(wanted, "__name__", str(wanted))


def _fits(value: Value, wanted: Any) -> bool:  # noqa: ANN401 - a type expression
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is Any:
        return True
    if origin is typing.Literal:
        return value in arguments
    if (origin or wanted) in _LISTS:
        return isinstance(value, tuple) and all(_fits(v, (*arguments, Any)[0]) for v in value)
    if origin in _UNIONS:
        return any(_fits(value, a) for a in arguments)
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted is type(None):
        return value is None
    return isinstance(value, origin or wanted)
