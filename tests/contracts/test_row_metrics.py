"""Every registered row metric, whoever wrote it."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetwell.metrics.registry import ROW_METRICS, measure
from forgetwell.types import Generation, Record, Row, TokenScores

ROW = Row("a", "It is ___.", "It is Ann.", paraphrases=("Ann it is.",), wrong=("It is Bob.",))
GOOD = TokenScores((-0.01, -0.01, -0.01), (True, True, True), (-2.0,) * 3, (1.0,) * 3)
BAD = TokenScores((-9.0, -9.0, -9.0), (False, False, False), (-2.0,) * 3, (1.0,) * 3)
KNOWS = Record(ROW, GOOD, (GOOD,), (BAD,), Generation("It is Ann.", 4, True), GOOD, 0.1)
LOST = Record(ROW, BAD, (BAD,), (GOOD,), Generation("", 1, True), None, 5.0)
NOTHING = Record(ROW)
TEXTS_ONLY = {"verbatim_memorization"}
SURPRISE = {"loss", "zlib", "min_k", "min_k_plus_plus", "gradient_norm", "perplexity", "gibberish"}


def as_text(record):
    return replace(record, row=replace(ROW, text=True))


def applicable(name, *records):
    return [as_text(r) if name in TEXTS_ONLY else r for r in records]


@st.composite
def scores(draw):
    n = draw(st.integers(1, 6))

    def tuples(element):
        return tuple(draw(st.lists(element, min_size=n, max_size=n)))

    logp = st.floats(-1e4, 0)
    return TokenScores(tuples(logp), tuples(st.booleans()), tuples(logp), tuples(st.floats(0, 100)))


@st.composite
def records(draw):
    words = st.text(max_size=40)
    row = Row(
        "r", draw(words) + draw(st.sampled_from(["", "__"])), draw(words) or "x", text=draw(st.booleans())
    )
    several = st.lists(scores(), min_size=1, max_size=3).map(tuple)
    said = draw(st.none() | words.map(lambda t: Generation(t, 3, True)))
    return Record(
        row,
        draw(st.none() | scores()),
        draw(st.none() | several),
        draw(st.none() | several),
        said,
        draw(st.none() | scores()) if said else None,
        draw(st.none() | st.floats(0, 1e6)),
    )


@pytest.mark.parametrize("name", ROW_METRICS.names())
class TestMetric:
    @settings(max_examples=60, deadline=None)
    @given(record=records())
    def test_values_are_in_range_pure_and_none_only_where_not_applicable(self, name, record):
        item = ROW_METRICS.get(name)
        (value,) = measure([record], name)
        assert measure([record], name) == [value]
        required = set(item.inputs) - set(item.facts["optional"])
        if any(getattr(record, part) is None for part in required):
            assert value is None
        if value is not None:
            low, high = item.facts["range"]
            assert math.isfinite(value)
            assert low is None or low <= value
            assert high is None or value <= high + 1e-12

    def test_gives_one_value_a_row_in_order(self, name):
        values = measure(applicable(name, KNOWS, LOST, KNOWS), name)
        assert len(values) == 3
        assert None not in values
        assert values[0] == values[2]

    def test_a_row_without_its_parts_has_no_value_and_is_not_dropped(self, name):
        assert measure([KNOWS, NOTHING], name)[1] is None

    def test_has_a_golden_case(self, name):
        """Each metric is checked against numbers from outside it, in test_golden_metrics.py."""
        from tests.unit.metrics.test_golden_metrics import CASES

        assert any(metric.partition("(")[0] == name for metric, _, _ in CASES)


@pytest.mark.parametrize("name", [n for n in ROW_METRICS.names() if n != "refusal"])
def test_knowing_and_having_lost_it_are_told_apart(name):
    knows, lost = measure(applicable(name, KNOWS, LOST), name)
    assert (knows < lost) if name in SURPRISE else (knows > lost)
