import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.errors import InputError
from forgetwell.metrics.registry import ROW_METRICS, measure
from forgetwell.metrics.statistics import Sample, cluster_bootstrap, paired_difference
from forgetwell.types import Generation, Record, Row, TokenScores


def scores(*logps, top1=()):
    return TokenScores(logps, top1 or tuple(False for _ in logps))


ROW = Row("a", "q", "She was born in Rome")


def test_probability_is_the_geometric_mean_of_token_probabilities():
    record = Record(ROW, answer=scores(math.log(0.5), math.log(0.125)))
    assert measure([record], "answer_prob") == pytest.approx([0.25])


@pytest.mark.parametrize(("variant", "value"), [("ratio", 0.5), ("closer_to_1", 0.5), ("true_better", 0.5)])
def test_truth_ratio(variant, value):
    wrong = (scores(math.log(0.1)), scores(math.log(0.4)))  # geometric mean 0.2
    record = Record(ROW, paraphrase=(scores(math.log(0.4)),), wrong=wrong)
    assert measure([record], f"truth_ratio(variant={variant})") == pytest.approx([value])


def test_truth_ratio_above_one():
    record = Record(ROW, paraphrase=(scores(-2.0),), wrong=(scores(-1.0),))
    assert measure([record], "truth_ratio(variant=closer_to_1)") == pytest.approx([math.exp(-1)])
    assert measure([record], "truth_ratio") == [0.0]


def test_missing_parts_give_none():
    assert measure([Record(ROW)], "truth_ratio") == [None]
    assert measure([Record(ROW, wrong=(), paraphrase=(scores(-1.0),))], "truth_ratio") == [None]


@pytest.mark.parametrize(
    ("text", "recall"),
    [("She was born in Rome.", 1.0), ("", 0.0), ("In Rome she was born", 0.6), ("Rome", 0.2)],
)
def test_rouge_recall(text, recall):
    # LCS of "in rome she was born" with the reference: "she was born" = 3 of 5 words
    record = Record(ROW, generated=Generation(text, 5, True))
    assert measure([record], "rouge_l_recall") == pytest.approx([recall])


def test_exact_memorization_leaves_the_end_token_out():
    record = Record(ROW, answer=scores(-1, -1, -1, top1=(True, False, True)))
    assert measure([record], "exact_memorization") == [0.5]


@pytest.mark.parametrize("name", ROW_METRICS.names())
def test_every_metric_is_documented(name):
    item = ROW_METRICS.get(name)
    assert "Source:" in item.function.__doc__
    assert item.facts["meaning"].endswith(".")
    assert all(not h.required for h in item.hyperparameters.values())


def test_cluster_bootstrap_is_wider_when_rows_of_a_cluster_agree():
    values = [0.0] * 10 + [1.0] * 10 + [0.0] * 10 + [1.0] * 10
    alone = cluster_bootstrap([Sample(values, [str(i) for i in range(40)])])
    together = cluster_bootstrap([Sample(values, [str(i // 10) for i in range(40)])])
    assert alone.value == together.value == 0.5
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_interval_covers_the_mean_about_as_often_as_it_says():
    import numpy as np

    stream, hits = np.random.default_rng(0), 0
    for trial in range(200):
        values = stream.normal(size=60).tolist()
        interval = cluster_bootstrap([Sample(values, [str(i) for i in range(60)])], seed=trial, resamples=400)
        hits += interval.low <= 0 <= interval.high
    assert 180 <= hits <= 199


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_intervals_hold_the_value_range_and_reproduce(values):
    sample = Sample(values, [str(i % 3) for i in range(len(values))])
    interval = cluster_bootstrap([sample], resamples=50)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9
    assert interval == cluster_bootstrap([sample], resamples=50)


def test_macro_mean_weighs_sets_alike():
    interval = cluster_bootstrap([Sample([1.0] * 10, ["a"] * 10), Sample([0.0], ["b"])])
    assert interval.value == 0.5
    assert (interval.low, interval.high, interval.n) == (0.5, 0.5, 11)


def test_pairs_need_equal_lengths():
    assert paired_difference([1.0, 0.5], [0.5, 0.5], ["a", "b"]).values == [0.5, 0.0]
    with pytest.raises(InputError, match="equal lengths"):
        paired_difference([1.0], [], ["a"])
    with pytest.raises(InputError, match="at least one"):
        cluster_bootstrap([Sample([], [])])
