"""Every registered suite, whoever wrote it."""

import inspect

import pytest

from forgetwell.suites.registry import SUITES


@pytest.mark.parametrize("name", SUITES.names())
class TestSuite:
    def test_is_documented_with_source_and_every_option(self, name):
        item = SUITES.get(name)
        text = inspect.getdoc(item.function)
        assert item.summary.endswith((".", "?"))
        assert "Source:" in text
        assert item.facts["paper"] in text
        assert all(f"\n    {option}: " in text for option in item.hyperparameters)

    def test_takes_options_alone(self, name):
        assert SUITES.get(name).inputs == ()
        assert {"limit", "max_new_tokens"} <= SUITES.get(name).hyperparameters.keys()

    def test_every_option_is_a_flag_of_the_command(self, name):
        from forgetwell.cli.measuring import Asked

        known = {*Asked.__dataclass_fields__, "prompt_words", "answer_words", "shots"}
        assert SUITES.get(name).hyperparameters.keys() <= known
