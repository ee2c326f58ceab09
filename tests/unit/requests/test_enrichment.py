from fractions import Fraction
from math import comb, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from forgetwell.requests.enrichment import (
    among_subjects,
    beta_binomial_tail,
    enriched,
    learn_background,
)


def one_class(_feature):
    return "c"


def exact_tail(k, n, a, b):
    """P(K ≥ k) of the beta-binomial in rational numbers: C(n, j) a^(j) b^(n-j) / (a+b)^(n), rising powers."""

    def rising(x, times):
        return prod((x + i for i in range(times)), start=Fraction(1))

    terms = (comb(n, j) * rising(a, j) * rising(b, n - j) for j in range(k, n + 1))
    return float(sum(terms, Fraction(0)) / rising(a + b, n))


@given(st.integers(1, 60), st.floats(0.001, 0.9), st.floats(0.001, 0.5), st.data())
@settings(max_examples=60, deadline=None)
def test_the_tail_is_that_of_exact_arithmetic(n, mu, rho, data):
    k = data.draw(st.integers(0, n))
    s = 1 / rho - 1
    ours = beta_binomial_tail(np.array([float(k)]), n, np.array([mu]), np.array([rho]))[0]
    exact = exact_tail(k, n, Fraction(mu * s), Fraction((1 - mu) * s))
    assert ours == pytest.approx(exact, rel=1e-6, abs=1e-15)


def test_the_tail_by_hand():
    # n = 2, Beta(1, 1): K is uniform on 0, 1, 2. μ = 1/2, ρ = 1/3.
    tails = beta_binomial_tail(np.arange(3.0), 2, np.full(3, 0.5), np.full(3, 1 / 3))
    assert tails == pytest.approx([1, 2 / 3, 1 / 3])


def test_counts_are_rows_and_the_prior_is_a_half():
    background = learn_background([{"a"}, {"a", "b"}, set(), set()], ["s"] * 4, one_class, {"c": 0.01})
    assert background.count == {"a": 2, "b": 1}
    assert background.share("a") == pytest.approx(2.5 / 5)
    assert background.share("never seen") == pytest.approx(0.5 / 5)


def test_correlation_within_subjects_is_recovered():
    rng = np.random.default_rng(0)
    rho, mu, subjects, rows = 0.2, 0.3, 400, 20
    s = 1 / rho - 1
    theta = rng.beta(mu * s, (1 - mu) * s, size=subjects)
    topic = rng.random((subjects, rows)) < theta[:, None]
    even = rng.random((subjects, rows)) < mu
    features = [
        {f for f, has in (("topic", topic[i, j]), ("even", even[i, j])) if has}
        for i in range(subjects)
        for j in range(rows)
    ]
    names = [str(i) for i in range(subjects) for _ in range(rows)]
    found = learn_background(features, names, lambda f: f, {"topic": 1e-4, "even": 1e-4})
    assert found.rho["topic"] == pytest.approx(rho, abs=0.03)
    assert found.rho["even"] < 0.01


def test_p_values_hold_their_level_under_the_null_and_find_a_trigger():
    rng = np.random.default_rng(1)
    share = rng.uniform(0.01, 0.4, size=30)
    background = [{str(f) for f in np.flatnonzero(rng.random(30) < share)} for _ in range(4000)]
    learned = learn_background(background, [""] * 4000, one_class, {"c": 0.002})
    false = 0
    for _ in range(300):
        rows = [{str(f) for f in np.flatnonzero(rng.random(30) < share)} for _ in range(40)]
        false += any(e.q_value <= 0.05 for e in enriched(rows, learned, one_class))
    assert false / 300 <= 0.05 + 2 * (0.05 * 0.95 / 300) ** 0.5
    rows = [{"0"} | {str(f) for f in np.flatnonzero(rng.random(30) < share)} for _ in range(40)]
    best = enriched(rows, learned, one_class)[0]
    assert (best.feature, best.rows) == ("0", 40)
    assert best.q_value < 1e-6


def test_one_long_row_cannot_decide():
    learned = learn_background([{"x"}] * 5 + [set()] * 995, [""] * 1000, one_class, {"c": 0.002})
    assert enriched([{"x"}] + [set()] * 39, learned, one_class) == []


def test_a_count_among_subjects_by_hand():
    # 100 rows of 10 subjects, 10 of them carry it, one in each: less than chance varies, so ρ is the least.
    mean = Fraction(21, 2) / 101
    p, effect, share = among_subjects(3, 5, [(1, 10)] * 10)
    assert share == pytest.approx(float(mean))
    assert p == pytest.approx(exact_tail(3, 5, mean * 499, (1 - mean) * 499), rel=1e-6)
    assert effect == pytest.approx(np.log((3.5 / 2.5) / float(mean / (1 - mean))))
    # All of them in two subjects: any other subject may be like that.
    assert among_subjects(3, 5, [(0, 10)] * 8 + [(5, 10)] * 2)[0] > 5 * p


def test_p_values_among_subjects_hold_their_level_over_backgrounds_and_requests():
    # One background may put every p-value too low (its ρ is an estimate): the level is that over both draws.
    levels = np.array([0.01, 0.05, 0.2])
    too_often = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        subjects = [(int(k), 20) for k in rng.binomial(20, rng.beta(0.5, 20, size=150))]
        new = rng.binomial(20, rng.beta(0.5, 20, size=100))
        p = {k: among_subjects(k, 20, subjects)[0] for k in set(new.tolist())}
        too_often.append((np.array([p[k] for k in new.tolist()])[:, None] <= levels).mean(axis=0) - levels)
    assert (np.mean(too_often, axis=0) <= 0).all()


def test_a_class_follows_its_subjects_as_far_as_its_features_do_on_the_mean():
    # 10 subjects of 10 rows. "a": 4 rows, all in one subject; "b" and "c": 4 rows, each in another subject.
    rows = [set() for _ in range(100)]
    for row in rows[:4]:
        row.add("a")
    for subject in range(4):
        rows[10 * subject + 5] |= {"b", "c"}
    names = [str(i // 10) for i in range(100)]
    learned = learn_background(rows, names, one_class, {"c": 1e-4})
    mean, variance = 0.04, 0.04 * 0.96
    clumped = (4 - 10 * mean) ** 2 + 9 * (10 * mean) ** 2 - 100 * variance
    even = 4 * (1 - 10 * mean) ** 2 + 6 * (10 * mean) ** 2 - 100 * variance
    assert even < 0 < clumped
    assert learned.class_rho["c"] == pytest.approx((clumped + 2 * even) / (3 * 10 * 10 * 9 * variance))


def test_requests_of_whole_subjects_with_words_of_their_own_hold_their_level():
    # 60 rare words; each subject takes to a few of them (ρ = .02), which few rows of the background show.
    # With the median of a class's estimates for its ρ, 2.3 % of such requests had q ≤ .01.
    share, rho, level, worlds, requests = 0.004, 0.02, 0.01, 20, 60
    s, words = 1 / rho - 1, [str(f) for f in range(60)]

    def subject(rng):
        taste = rng.beta(share * s, (1 - share) * s, size=len(words))
        return [{words[f] for f in np.flatnonzero(rng.random(len(words)) < taste)} for _ in range(20)]

    false = 0
    for world in range(worlds):
        rng = np.random.default_rng(world)
        rows = [row for _ in range(120) for row in subject(rng)]
        learned = learn_background(rows, [str(i // 20) for i in range(len(rows))], one_class, {"c": 0.005})
        for _ in range(requests):
            found = enriched([*subject(rng), *subject(rng)], learned, one_class)
            false += any(e.q_value <= level for e in found)
    assert false <= binom.isf(1e-3, worlds * requests, level)
