"""Values and names that items are given in calls."""

import pytest

from forgetwell.errors import InputError
from forgetwell.objectives.registry import term
from forgetwell.registry import Family
from forgetwell.suites.registry import SUITES


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"per": "rows"}, "A term was registered with per='rows'; it is one of 'token', 'row'."),
        (
            {"side": "keep"},
            "A term was registered with side='keep'; it is one of 'forget', 'retain', 'scope', 'learn'.",
        ),
    ],
)
def test_a_term_is_registered_per_token_or_row_and_for_a_side(facts, message):
    with pytest.raises(InputError) as told:
        term(**{"per": "row", "side": "forget", "paper": "", "place": "", **facts})
    assert str(told.value) == message
