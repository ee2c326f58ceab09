"""What the cards of items that ship say, besides what every item's must."""

import pytest

from forgetwell.cli.listing import all_families

ITEMS = [family.get(name) for family in all_families().values() for name in family.names()]
TRAINED = {"term", "schedule", "step rule"}
ENDS = {"term": ".:", "step rule": ".:", "schedule": ".:", "row metric": ".;", "suite": ".?"}
INPUTS = {"step rule": ("descent",), "schedule": ("progress",), "view": ("pair", "codec"), "suite": ()}


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item.family} {item.name}")
def test_a_card_has_a_first_sentence_its_source_and_when_it_fails(item):
    text = item.function.__doc__
    assert item.summary.endswith(tuple(ENDS.get(item.family, ".")))
    assert "Source:" in text
    if item.family != "bench":  # which may stand on data of its own
        assert item.facts.get("paper", "") in text
    if item.family in TRAINED:
        assert "Fails when:" in text
        assert "Tested:" in text
    assert item.inputs == INPUTS.get(item.family, item.inputs)
    if item.family == "term" and "layer" in item.hyperparameters:
        assert item.facts["hidden"] in ("", "layer")
