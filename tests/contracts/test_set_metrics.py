"""Every registered set metric, whoever wrote it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetwell.metrics.sets import SET_METRICS, set_call

DATA = st.lists(st.floats(0, 1), min_size=1, max_size=12).map(np.array)


@pytest.mark.parametrize("name", SET_METRICS.names())
class TestSetMetric:
    @settings(max_examples=40, deadline=None)
    @given(data=st.data())
    def test_is_finite_in_range_and_pure_on_values_of_rows(self, name, data):
        call = set_call(name)
        sizes = {}
        parts = {}
        for parameter, read in call.reads.items():
            # the reference has the rows of the run itself
            size = sizes.setdefault(read.split, data.draw(st.integers(1, 8)))
            arrays = [
                np.array(data.draw(st.lists(st.floats(0, 1), min_size=size, max_size=size)))
                for _ in range(2 if read.each else 1)
            ]
            parts[parameter] = tuple(arrays) if read.each else arrays[0]
        value = call.function(**parts, **call.arguments)
        assert call.function(**parts, **call.arguments) == value
        low, high = call.facts["range"]
        assert math.isfinite(value)
        assert low is None or low <= value
        assert high is None or value <= high + 1e-9
