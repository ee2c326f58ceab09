"""The one call syntax: ``name``, ``name(key=value)`` and weighted sums ``npo(beta=0.1) + gdr + 5*su``.

A weight may change over a run: ``5*linear(until=0.5)*su``.

A small reader over Python's own grammar; nothing is ever evaluated. Values are numbers, strings, True,
False, None, bare words (read as strings) and lists of those.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from keyword import iskeyword

from forgetwell.errors import InputError

Value = str | int | float | bool | None | tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A name with keyword arguments, as written."""

    name: str
    arguments: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the call in its own syntax, keys in the order written."""
        if not self.arguments:
            return self.name
        inner = ", ".join(f"{k}={_show(v)}" for k, v in self.arguments.items())
        return f"{self.name}({inner})"


@dataclass(frozen=True, slots=True)
class Weighted:
    """One summand of a weighted sum, with the schedule of its weight, if it has one."""

    coefficient: float
    call: Call
    schedule: Call | None = None

    def __str__(self) -> str:
        """Return ``5*su`` or ``5*linear*su``, without a coefficient of 1."""
        weight = "" if self.coefficient == 1 else f"{self.coefficient:g}*"
        return weight + (f"{self.schedule}*" if self.schedule else "") + str(self.call)


def parse_call(text: str) -> Call:
    """Read ``name`` or ``name(key=value, …)``.

    Raises:
        InputError: The text is anything else; the message shows the place.
    """
    return _call(_tree(text), text)


def parse_sum(text: str) -> tuple[Weighted, ...]:
    """Read a weighted sum such as ``npo(beta=0.1) + gdr + 5*linear*su``; coefficients may not be negative.

    Raises:
        InputError: The text is anything else; the message shows the place.
    """
    return _summands(_tree(text), text)


def _tree(text: str) -> ast.expr:
    if len(text) > 10_000:
        raise InputError(f"An expression of {len(text)} characters was given; at most 10000 are read.")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        column = (getattr(error, "offset", None) or 1) - 1
        raise _wrong(text.strip(), column, "this is no expression") from None


def _summands(node: ast.expr, text: str) -> tuple[Weighted, ...]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _summands(node.left, text) + _summands(node.right, text)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        coefficient, schedule = _weight(node.left, text)
        return (Weighted(coefficient, _call(node.right, text), schedule),)
    return (Weighted(1.0, _call(node, text)),)


def _weight(node: ast.expr, text: str) -> tuple[float, Call | None]:
    """Read what stands before the last '*': a number, a schedule, or a number times a schedule."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return _coefficient(node.left, text), _call(node.right, text)
    if isinstance(node, ast.Call | ast.Name):
        return 1.0, _call(node, text)
    return _coefficient(node, text), None


def _coefficient(node: ast.expr, text: str) -> float:
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(text, node.col_offset, "expected a number ≥ 0 before '*', as in 5*su")
    return float(value)


def _call(node: ast.expr, text: str) -> Call:
    if isinstance(node, ast.Name):
        return Call(node.id)
    if isinstance(node, ast.Tuple) and node.elts:
        several = "expected one name; write several as --metrics a b, and terms of a sum as a + b"
        raise _wrong(text, node.elts[0].end_col_offset or 0, several)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise _wrong(text, node.col_offset, "expected a name such as npo or npo(beta=0.1)")
    if node.args:
        raise _wrong(text, node.args[0].col_offset, "arguments are written key=value")
    arguments: dict[str, Value] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            raise _wrong(text, keyword.value.col_offset, "each key is given once, as key=value")
        arguments[keyword.arg] = _value(keyword.value, text)
    return Call(node.func.id, arguments)


def _value(node: ast.expr, text: str) -> Value:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | type(None)):
        return node.value
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.List | ast.Tuple):
        return tuple(_value(item, text) for item in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _value(node.operand, text)
        if isinstance(inner, int | float) and not isinstance(inner, bool):
            return -inner
    raise _wrong(text, node.col_offset, "expected a number, a word, a quoted string or a list")


def _show(value: Value) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_show(v) for v in value)}]"
    # Python folds non-ASCII letters of bare words, so only ASCII ones read back as written.
    if isinstance(value, str) and value.isascii() and value.isidentifier() and not iskeyword(value):
        return value
    return repr(value)


def _wrong(text: str, column: int, why: str) -> InputError:
    pointer = " " * column + "^"
    return InputError(f"Can't read {text!r}: {why}.\n  {text}\n  {pointer}")
