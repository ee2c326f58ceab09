import ast
import importlib
from pathlib import Path

import pytest

import forgetwell


@pytest.mark.parametrize("name", forgetwell.__all__)
def test_every_public_name_is_there(name):
    assert getattr(forgetwell, name).__doc__


def test_the_names_of_the_commands_are_functions():
    names = ("load", "read_request", "attack_request", "learn", "unlearn", "evaluate", "report")
    assert all(callable(getattr(forgetwell, name)) for name in (*names, "scan", "gate", "tune"))


def test_type_checkers_and_python_see_the_same_names():
    stub = ast.parse(Path(forgetwell.__file__).with_suffix(".pyi").read_text())
    (listed,) = [ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign)]
    assert listed == sorted(forgetwell.__all__)


def test_unknown_names_are_said():
    with pytest.raises(AttributeError, match="attribute forget"):
        importlib.import_module("forgetwell").forget  # noqa: B018
