import math

import numpy as np
import pytest
from scipy import stats

from forgetwell.errors import InputError
from forgetwell.metrics.statistics import Paired, Sample, cluster_bootstrap, request_units, resample, widened


def test_the_first_line_is_the_macro_mean_of_the_sample():
    sets = [
        Paired(np.array([[1.0, 0.0], [0.0, 0.0]]), ["a", "b"]),
        Paired(np.array([[0.5, 1.0]]), ["c"]),
    ]
    assert resample(sets, resamples=5).means[0] == pytest.approx([(0.5 + 0.5) / 2, (0.0 + 1.0) / 2])


def test_conditions_are_resampled_together():
    """A constant difference has an interval of width 0, however much the rows vary."""
    values = np.random.default_rng(0).random((40, 1))
    drawn = resample([Paired(np.hstack([values, values - 0.25]), [str(i) for i in range(40)])])
    interval = drawn.interval(lambda means: means[:, 0] - means[:, 1])
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.25, 0.25, 0.25))


def test_the_interval_of_one_set_is_students_of_its_cluster_means():
    """Clusters of 3 rows: mean ± t(19) · standard deviation of 20 means (with n - 1) / √20."""
    values = np.random.default_rng(1).random(60)
    sample = Sample(values.tolist(), [str(i // 3) for i in range(60)])
    found = cluster_bootstrap([sample], resamples=20000)
    low, high = stats.t.interval(
        0.95, 19, loc=values.mean(), scale=stats.sem(values.reshape(20, 3).mean(1), ddof=1)
    )
    assert (found.value, found.n) == (pytest.approx(values.mean()), 60)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.004)


def test_the_interval_of_two_sets_has_welchs_degrees_of_freedom():
    """Sets of 40 and 40 clusters with very different spread: as the mean of two samples (scipy's Welch)."""
    stream = np.random.default_rng(2)
    one, two = stream.normal(1.0, 3.0, 30), stream.normal(0.0, 0.3, 40)
    sets = [Sample(v.tolist(), [str(i) for i in range(len(v))]) for v in (one, -two)]
    found = cluster_bootstrap(sets, resamples=20000)
    welch = stats.ttest_ind(one, two, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((welch.low / 2, welch.high / 2), abs=0.03)


@pytest.mark.parametrize("sizes", [(3,), (5,), (8,), (3, 4), (4, 20), (3, 3, 20)])
def test_intervals_of_few_subjects_hold_the_mean_as_often_as_they_say(sizes):
    stream, hits, trials = np.random.default_rng(len(sizes) * 100 + sizes[0]), 0, 400
    for trial in range(trials):
        samples = []
        for subjects in sizes:
            own = stream.normal(size=(subjects, 1)) * math.sqrt(0.2)
            values = (own + stream.normal(size=(subjects, 8)) * math.sqrt(0.8)).ravel()
            samples.append(Sample(values.tolist(), np.repeat(np.arange(subjects), 8).astype(str).tolist()))
        interval = cluster_bootstrap(samples, seed=trial, resamples=500)
        hits += interval.low <= 0 <= interval.high
    assert 0.92 <= hits / trials <= 0.99


def test_a_mean_and_a_difference_have_no_end_beyond_what_rows_were_measured_at():
    values = np.array([[1.0, 0.5], [1.0, 0.5], [0.0, 0.5], [0.0, 0.5]])
    drawn = resample([Paired(values, ["a", "a", "b", "b"])])
    mean = drawn.mean(lambda means: means[:, 0])
    assert (mean.value, mean.low, mean.high) == (0.5, 0.0, 1.0)
    difference = drawn.mean(lambda means: means[:, 0] - means[:, 1])
    assert (difference.value, difference.low, difference.high) == (0.0, -0.5, 0.5)
    assert drawn.interval(lambda means: means[:, 0] / means[:, 1]).low < 0


def test_what_does_not_vary_is_not_widened():
    together = np.array([0.5, 0.4, 0.6, 0.5])
    found = widened(together, [np.full(4, 0.5)], [3], 9, level=0.5)
    assert (found.value, found.low, found.high, found.n) == (0.5, *np.quantile(together[1:], [0.25, 0.75]), 9)


def test_few_subjects_to_forget_are_all_there_are_so_that_questions_are_drawn():
    questions = [f"q{i}" for i in range(6)]
    assert request_units(["a", "a", "b", "b", "c", "c"], questions) == questions
    subjects = ["a", "b", "c", "d", "e", "f"]
    assert request_units(subjects, questions) == subjects


def test_an_empty_set_is_refused():
    with pytest.raises(InputError):
        resample([Paired(np.zeros((0, 2)), [])])
    with pytest.raises(InputError):
        resample([])


def test_with_one_subject_rows_are_drawn_so_that_the_interval_has_a_width():
    values = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    interval = resample([Paired(values, ["a"] * 4)]).interval(lambda means: means[:, 0] - means[:, 1])
    assert interval.low < 0 < interval.high
