import importlib

import pytest

import forgetwell


@pytest.mark.parametrize("name", forgetwell.__all__)
def test_every_public_name_is_there(name):
    assert getattr(forgetwell, name).__doc__


def test_the_names_of_the_commands_are_functions():
    names = ("load", "read_request", "attack_request", "unlearn", "evaluate", "report")
    assert all(callable(getattr(forgetwell, name)) for name in names)


def test_unknown_names_are_said():
    with pytest.raises(AttributeError, match="no attribute 'forget'"):
        importlib.import_module("forgetwell").forget  # noqa: B018
