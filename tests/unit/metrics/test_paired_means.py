import numpy as np
import pytest

from forgetwell.errors import InputError
from forgetwell.metrics.statistics import Paired, Sample, cluster_bootstrap, paired_means, quantile_interval


def test_the_first_line_is_the_macro_mean_of_the_sample():
    sets = [
        Paired(np.array([[1.0, 0.0], [0.0, 0.0]]), ["a", "b"]),
        Paired(np.array([[0.5, 1.0]]), ["c"]),
    ]
    assert paired_means(sets, resamples=5)[0] == pytest.approx([(0.5 + 0.5) / 2, (0.0 + 1.0) / 2])


def test_conditions_are_resampled_together():
    """A constant difference has an interval of width 0, however much the rows vary."""
    values = np.random.default_rng(0).random((40, 1))
    means = paired_means([Paired(np.hstack([values, values - 0.25]), [str(i) for i in range(40)])])
    interval = quantile_interval(means[:, 0] - means[:, 1], 40)
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.25, 0.25, 0.25))


def test_one_condition_has_the_normal_interval_of_its_cluster_means():
    """Clusters of 3 rows: the bootstrap's standard error is the standard deviation of 20 means over √20."""
    values = np.random.default_rng(1).random(60)
    sample = Sample(values.tolist(), [str(i // 3) for i in range(60)])
    found = cluster_bootstrap([sample], resamples=4000)
    error = 1.96 * values.reshape(20, 3).mean(1).std() / np.sqrt(20)
    assert (found.value, found.n) == (pytest.approx(values.mean()), 60)
    assert (found.low, found.high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.01)


def test_an_empty_set_is_refused():
    with pytest.raises(InputError):
        paired_means([Paired(np.zeros((0, 2)), [])])
    with pytest.raises(InputError):
        paired_means([])


def test_with_one_subject_rows_are_drawn_so_that_the_interval_has_a_width():
    values = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    means = paired_means([Paired(values, ["a"] * 4)])
    interval = quantile_interval(means[:, 0] - means[:, 1], 4)
    assert interval.low < 0 < interval.high
