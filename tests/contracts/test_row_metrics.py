"""Every registered row metric, whoever wrote it."""

import math

import pytest

from forgetwell.metrics.registry import ROW_METRICS, measure
from forgetwell.types import Generation, Record, Row, TokenScores

ROW = Row("a", "Who is it?", "It is Ann.", paraphrases=("Ann it is.",), wrong=("It is Bob.",))
GOOD = TokenScores((-0.01, -0.01, -0.01), (True, True, True))
BAD = TokenScores((-9.0, -9.0, -9.0), (False, False, False))
KNOWS = Record(ROW, GOOD, (GOOD,), (BAD,), Generation("It is Ann.", 4, True))
LOST = Record(ROW, BAD, (BAD,), (GOOD,), Generation("", 1, True))
NOTHING = Record(ROW)


@pytest.mark.parametrize("name", ROW_METRICS.names())
class TestMetric:
    def test_gives_one_finite_value_a_row_within_0_and_1(self, name):
        values = measure([KNOWS, LOST, KNOWS], name)
        assert len(values) == 3
        assert all(v is not None and math.isfinite(v) and 0 <= v <= 1 for v in values)
        assert values[0] == values[2]

    def test_a_row_without_its_parts_has_no_value_and_is_not_dropped(self, name):
        assert measure([KNOWS, NOTHING], name)[1] is None

    def test_does_not_depend_on_other_rows(self, name):
        assert measure([KNOWS, LOST], name) == measure([LOST, KNOWS], name)[::-1]

    def test_is_documented_with_source_meaning_and_defaults(self, name):
        item = ROW_METRICS.get(name)
        assert item.summary.endswith((".", ";"))
        assert "Source:" in item.function.__doc__
        assert item.facts["paper"] in item.function.__doc__
        assert item.facts["meaning"].endswith(".")
        assert item.facts["better"] in ("high", "low", "none")
        assert all(not h.required for h in item.hyperparameters.values())


@pytest.mark.parametrize("name", set(ROW_METRICS.names()) - {"refusal"})
def test_knowing_scores_above_having_lost_it(name):
    knows, lost = measure([KNOWS, LOST], name)
    assert knows > lost
