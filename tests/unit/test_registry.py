"""Values and names that items are given in calls."""

from collections.abc import Sequence
from typing import Literal

import pytest

from forgetwell.calls import parse_call
from forgetwell.errors import InputError, UnknownName, unknown_name
from forgetwell.objectives.registry import TERMS, term
from forgetwell.registry import Family
from forgetwell.suites.registry import SUITES


def test_a_choice_that_does_not_exist_gets_the_list_of_those_that_do():
    with pytest.raises(InputError) as told:
        SUITES.resolve(parse_call("tofu(split='forget5')"))
    assert str(told.value) == (
        "tofu(split='forget5'): expected one of 'forget01', 'forget05', 'forget10', got 'forget5'."
    )


def test_types_are_said_in_words():
    def mine(
        *, count: int | None = None, which: Literal["a", "b"] | float = 1.0, several: tuple[int, ...] = ()
    ) -> None:
        """An item."""

    family = Family("thing", "forgetwell.suites.catalog", _scanned=True)
    family.add(mine)
    for call, expected in [
        ("mine(count='x')", "int or None"),
        ("mine(which='c')", "one of 'a', 'b' or float"),
        ("mine(several=1)", "a list"),
    ]:
        with pytest.raises(InputError, match=rf": expected {expected}, got"):
            family.resolve(parse_call(call))


def test_lists_are_lists_however_they_are_annotated():
    def mine(*, a: list[int] = [], b: Sequence[str] = (), c: list = [], d: dict[str, int] = {}) -> None:  # noqa: B006
        """An item."""

    family = Family("thing", "forgetwell.suites.catalog", _scanned=True)
    family.add(mine)
    _, bound = family.resolve(parse_call("mine(a=[1, 2], b=[x], c=[1, y])"))
    assert (bound["a"], bound["b"], bound["c"]) == ((1, 2), ("x",), (1, "y"))
    for call, expected in [
        ("mine(a=1)", "a list"),
        ("mine(a=[x])", "a list"),
        ("mine(b=word)", "a list"),
        ("mine(c=1)", "a list"),
        ("mine(d=x)", "dict"),
    ]:
        with pytest.raises(InputError, match=rf": expected {expected}, got"):
            family.resolve(parse_call(call))


def test_near_names_are_found_whatever_their_case():
    with pytest.raises(UnknownName, match=r"No term is named 'NPO'\. Did you mean 'npo'"):
        TERMS.get("NPO")
    assert "Did you mean 'AltPO' or 'altpo'?" in str(unknown_name("item", "ALTPO", ["altpo", "AltPO", "me"]))


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
