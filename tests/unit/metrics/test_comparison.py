import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from forgetwell.errors import InputError
from forgetwell.metrics.comparison import benjamini_hochberg
from forgetwell.metrics.comparison import sign_flip_test as flip
from forgetwell.metrics.statistics import Sample


def rows(values):
    return Sample(list(values), [str(i) for i in range(len(values))])


def p_value(samples, **options):
    return flip(samples, **options).p


def test_few_clusters_are_exact():
    """Three differences of one sign: 2 of 8 patterns (all +, all -) are as extreme."""
    assert p_value([rows([1.0, 2.0, 3.0])]) == 2 / 8
    # 3 - 1 = 2: patterns with |±3 ±1| >= 2 are all four
    assert p_value([rows([3.0, -1.0])]) == 1.0


def test_exact_values_are_scipys():
    values = np.random.default_rng(3).normal(0.4, 1, 10)
    expected = stats.permutation_test(
        (values,),
        lambda x, axis: x.mean(axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert p_value([rows(values)]) == pytest.approx(expected.pvalue)


def test_rows_of_a_subject_change_sign_together():
    """Thirty equal rows of six subjects are six pieces of evidence, not thirty: p = 2 of 2^6."""
    found = flip([Sample([1.0] * 30, list("abcdef") * 5)])
    assert (found.p, found.by) == (2 / 64, "subject")


def test_fewer_than_six_subjects_could_never_be_significant_so_questions_are_flipped():
    found = flip([Sample([1.0] * 10, ["a"] * 5 + ["b"] * 5)])
    assert (found.p, found.by) == (2 / 2**10, "question")
    asked_twice = flip([Sample([1.0] * 10, ["a"] * 5 + ["b"] * 5, [str(i // 2) for i in range(10)])])
    assert asked_twice.p == 2 / 2**5


def test_sets_weigh_alike():
    """The statistic is (1 - 1)/2 = 0, though one set has ten times the rows: every pattern is as extreme."""
    many = Sample([1.0] * 10, ["a"] * 10)
    assert p_value([many, Sample([-1.0], ["b"])]) == 1.0


def test_equal_models_have_p_1():
    assert p_value([rows([0.0] * 40)]) == 1.0
    assert p_value([Sample([1.0] * 4, ["a"] * 4)]) == 2 / 16
    with pytest.raises(InputError):
        p_value([rows([])])


def test_p_is_uniform_where_nothing_differs():
    stream = np.random.default_rng(0)
    found = [p_value([rows(stream.normal(size=20))], seed=k, draws=399) for k in range(300)]
    assert stats.kstest(found, "uniform").pvalue > 0.01
    assert np.mean(np.array(found) <= 0.05) < 0.09


def test_random_signs_are_seeded_and_near_the_t_test():
    values = np.random.default_rng(5).normal(0.3, 1, 60)
    found = p_value([rows(values)], seed=1)
    assert found == p_value([rows(values)], seed=1)
    assert found == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)


def test_benjamini_hochberg_by_hand():
    """m = 4: 0.01·4/1, 0.02·4/2, 0.03·4/3, 0.5·4/4; running minima from the right."""
    assert benjamini_hochberg([0.02, 0.5, 0.01, 0.03]) == pytest.approx([0.04, 0.5, 0.04, 0.04])
    assert benjamini_hochberg([0.9, 0.8]) == pytest.approx([0.9, 0.9])
    assert len(benjamini_hochberg([])) == 0
    assert benjamini_hochberg([0.01, 0.02], tests=10) == pytest.approx([0.1, 0.1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_adjusted_values_are_no_smaller_and_keep_the_order(values):
    found = benjamini_hochberg(values)
    pairs = zip(values, found, strict=True)
    for (p, q), (r, s) in itertools.combinations(pairs, 2):
        assert q >= p - 1e-12
        assert not (p < r and q > s + 1e-12)
    assert found == pytest.approx(stats.false_discovery_control(values))
