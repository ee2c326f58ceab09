import itertools

import numpy as np
import pytest

from forgetwell.errors import InputError
from forgetwell.scans.significance import fewest_units, flip_units, nearest, sign_flip_p, smallest_q

NAMES = [f"r{k}" for k in range(12)]


def test_a_hand_worked_sign_flip():
    # of ±1 ±2 ±3, sums ≥ 4: +1+2+3 = 6 and -1+2+3 = 4, and for the values 1, 2, 3 only 6 ≥ 6
    assert sign_flip_p(np.array([1.0, 2.0, 3.0]), NAMES[:3]) == 1 / 8
    assert sign_flip_p(np.array([-1.0, 2.0, 3.0]), NAMES[:3]) == 2 / 8


def test_rows_of_a_cluster_flip_together_and_one_cluster_flips_by_rows():
    values = np.array([1.0, 1.0, 2.0, 2.0])
    assert sign_flip_p(values, ["a", "a", "b", "b"]) == 1 / 4
    assert sign_flip_p(values, ["a"] * 4) == 1 / 16


def test_many_clusters_are_drawn_and_agree_with_all_flips():
    values = np.random.default_rng(3).normal(0.3, 1.0, 13)
    signs = np.array(list(itertools.product((1, -1), repeat=13)))
    exact = np.mean(signs @ values >= values.sum() - 1e-12)
    assert sign_flip_p(values, [str(k) for k in range(13)]) == pytest.approx(exact, abs=0.02)
    assert sign_flip_p(values, [str(k) for k in range(13)]) == sign_flip_p(
        values, [str(k) for k in range(13)]
    )


def test_under_the_null_p_values_are_uniform_or_larger():
    stream = np.random.default_rng(0)
    p = [sign_flip_p(stream.normal(size=8), NAMES[:8]) for _ in range(600)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.03)


def test_units_are_subjects_unless_one_form_of_all_could_not_be_told_from_chance_by_them():
    # 22 forms at .05: 22/2^8 = .086, 22/2^9 = .043
    assert fewest_units(22, 0.05) == 9
    assert smallest_q(9, 22) == 22 / 512
    assert smallest_q(13, 22) == 22 / 10_000
    nine = [f"s{k}" for k in range(9)]
    assert flip_units([*nine, "s0"], 22, 0.05) == [*nine, "s0"]
    assert len(set(flip_units([*nine[:8], "s0", "s1"], 22, 0.05))) == 10


def test_no_values_is_an_error():
    with pytest.raises(InputError):
        sign_flip_p(np.array([]), [])


def test_controls_are_next_in_frequency_and_phrases_have_phrases():
    controls = [10, 100, 1000, None, 10_000, None]
    assert nearest(90, controls, 2) == [1, 0] or nearest(90, controls, 2) == [0, 1]
    assert nearest(5000, controls, 2) == [2, 4]
    assert nearest(None, controls, 2) == [3, 5]
