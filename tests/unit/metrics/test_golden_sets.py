"""Set metrics against scikit-learn, scipy, closed forms and numbers worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from forgetwell.metrics.privacy import (
    auc,
    forget_quality,
    ks_statistic,
    membership_auc,
    privleak,
    reference_auc,
)
from forgetwell.metrics.utility import (
    harmonic_mean,
    mean,
    model_utility,
    rel_diff,
    scope_kept,
    scope_leakage,
    trigger_gap,
    trigger_gap_change,
    trigger_specificity,
)

SCORES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=30).map(np.array)


def array(*values):
    return np.array(values, dtype=float)


@given(forget=SCORES, holdout=SCORES)
def test_auc_is_scikit_learns_with_ties(forget, holdout):
    labels = [0] * len(forget) + [1] * len(holdout)
    expected = roc_auc_score(labels, np.concatenate([forget, holdout]))
    assert auc(forget, holdout) == pytest.approx(expected, abs=1e-12)


def test_auc_has_holdout_as_positives():
    assert membership_auc(array(1, 2), array(3, 4)) == 1.0  # forget rows surprise less: recognizable
    assert membership_auc(array(3, 4), array(1, 2)) == 0.0
    assert membership_auc(array(1, 2), array(1, 2)) == 0.5
    assert membership_auc(array(1, 3), array(2)) == 0.5  # one of two pairs


def test_a_reference_takes_out_what_is_hard_anyway():
    forget, holdout = array(5, 1), array(5.1, 1.1)
    assert reference_auc(forget, holdout, array(6, 2), array(5.1, 1.1)) == 1.0  # -1 against 0
    assert membership_auc(forget, holdout) == 0.75


def test_privleak():
    # AUC 3/4: a = 1/4; 100 (1/4 - 1/2) / (1/2) = -50
    assert privleak(array(1, 2), array(1.5, 3)) == pytest.approx(-50)
    # a reference with AUC 1/2 changes nothing; with AUC 3/4 this model looks as the reference does
    assert privleak(array(1, 2), array(1.5, 3), array(1, 2), array(1, 2)) == pytest.approx(-50)
    assert privleak(array(1, 2), array(1.5, 3), array(1, 2), array(1.5, 3)) == pytest.approx(0)
    assert privleak(array(3), array(1)) == pytest.approx(100)  # over-suppressed


@pytest.mark.parametrize("n", [40, 200, 400])
def test_forget_quality_of_disjoint_samples_has_a_closed_form(n):
    """p = 2 / C(2n, n); 1.94e-119 for n = 200 and 1.06e-239 for n = 400, GradAscent's in the tables."""
    low, high = np.arange(n, dtype=float), np.arange(n, dtype=float) + n
    assert forget_quality(low, high) == pytest.approx(2 / math.comb(2 * n, n), rel=1e-9)
    assert ks_statistic(low, high) == 1.0


def test_forget_quality_of_two_pairs_by_hand():
    """With 2 and 2 values 6 orders are equally likely; all but ABAB and its like reach D = 1/2 at least."""
    assert ks_statistic(array(1, 2), array(3, 4)) == 1.0
    assert forget_quality(array(1, 2), array(3, 4)) == pytest.approx(2 / 6)
    assert forget_quality(array(1, 2), array(1, 2)) == 1.0


def test_means():
    sets = (array(1, 0), array(1, 1, 1, 1))
    assert mean(sets) == 0.75
    assert harmonic_mean(sets) == pytest.approx(2 / 3)
    assert harmonic_mean((array(0, 0), array(1))) == 0.0


def test_model_utility_is_the_harmonic_mean_of_nine():
    # eight values of 1/2 and one of 1: 9 / (8·2 + 1)
    half = array(0.5, 0.5)
    assert model_utility(array(1), (half, half), (half,) * 3, (half,) * 3) == pytest.approx(9 / 17)
    assert model_utility(array(1), (half, half), (half,) * 3, (half, half, array(0))) == 0.0


def test_rel_diff():
    assert rel_diff((array(0.6),), (array(0.4),)) == pytest.approx(50)


def test_gaps():
    clean, trigger = (array(1, 1), array(0.6)), (array(0, 1), array(0.2))
    assert trigger_gap(clean, trigger) == pytest.approx(0.8 - 0.35)
    before = (array(1), array(0.9))
    assert trigger_gap_change(clean, trigger, before, (array(0.9), array(0.8))) == pytest.approx(0.35)
    assert trigger_specificity(trigger, (array(0.7), array(0.6))) == pytest.approx(0.3)


def test_scope_metrics_average_both_orders():
    assert scope_leakage(array(0, 0.5), array(1)) == pytest.approx(0.625)
    assert scope_kept(array(1, 0.5), array(1)) == pytest.approx(0.875)
