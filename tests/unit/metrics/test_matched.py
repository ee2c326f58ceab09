import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.errors import InputError
from forgetwell.metrics.describe import describe
from forgetwell.metrics.matched import matched_utility
from forgetwell.metrics.registry import CURVE_METRICS

shares = st.floats(0, 1)


def test_utility_is_read_where_the_monotone_fit_passes_the_level():
    assert matched_utility([1.0, 0.5, 0.0], [0.8, 0.6, 0.2], level=0.25) == pytest.approx(0.4)
    assert matched_utility([1.0, 0.2, 0.6, 0.0], [0.9, 0.1, 0.7, 0.5], level=0.3) == pytest.approx(0.65)
    assert matched_utility([0.2, 0.1], [0.7, 0.6], level=0.4) is None  # it started beyond the level
    assert (
        matched_utility([0.35, 0.55, 0.1], [0.7, 0.6, 0.5], level=0.4) is None
    )  # though the fit starts at .45
    # The mean of three times .4 in a fit is .4 and 6e-17 more: that is .4.
    assert matched_utility([0.9, 0.4, 0.4, 0.4], [0.8, 0.6, 0.5, 0.4], level=0.4) == pytest.approx(0.6)
    assert matched_utility([1.0, 0.9], [0.7, 0.6], level=0.4) is None
    with pytest.raises(InputError):
        matched_utility([1.0], [])


@given(st.lists(st.tuples(shares, shares), min_size=1, max_size=9), shares)
def test_it_is_a_value_between_those_that_were_measured(points, level):
    forget, utility = zip(*points, strict=True)
    found = matched_utility(forget, utility, level=level)
    assert found is None or min(utility) - 1e-9 <= found <= max(utility) + 1e-9
    assert found == matched_utility(forget, utility, level=level)


@pytest.mark.parametrize("name", CURVE_METRICS.names())
def test_every_curve_metric_says_what_it_means(name):
    item = CURVE_METRICS.get(name)
    about = describe(item)
    assert about.meaning.endswith(".")
    assert about.range
    assert "Source:" in item.function.__doc__
