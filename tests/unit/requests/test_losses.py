from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binom

from forgetwell.errors import InputError
from forgetwell.requests.reach import blind_spots
from forgetwell.requests.repairs import repair_request
from forgetwell.requests.screening import Evidence
from forgetwell.requests.screens.losses import low_tail, unknown
from forgetwell.types import Request, Row


class Model:
    """Answers are numbers: their log-probabilities."""

    def score(self, rows):
        return [SimpleNamespace(logps=(float(row.answer),)) for row in rows]


def rows_of(values):
    return tuple(Row(str(i), "Where?", repr(float(v))) for i, v in enumerate(values))


def alarms(own, usual, **settings):
    found = unknown(Request("r", rows_of(own)), Evidence(rows_of(usual), (), Model()), **settings)
    return {f.row_id for f in found if f.severity == "alarm"}


def test_p_values_of_ranks_and_of_the_tail_by_hand():
    # Of 29 known ones the tail is the 10 lowest, 0 … 9; they are 1 … 10 below the next one, 5.5 on average.
    known = np.arange(29.0)
    p = low_tail(np.array([28.0, 4.0, 0.0, -0.5, -1.0, -45.0]), known)
    assert p[:3] == pytest.approx([30 / 30, 6 / 30, 2 / 30])
    # Below all, at most 1/30: 11/30 (1 + 10.5 / 55)^-10 is larger at -0.5, and so is 11/30 (1 + 11 / 55)^-10.
    assert p[3:5] == pytest.approx([1 / 30, 1 / 30])
    assert p[5] == pytest.approx(11 / 30 * 2.0**-10)
    assert low_tail(np.array([-9.0]), np.zeros(29)) == pytest.approx([1 / 30])  # no tail to read


def test_the_tail_of_an_exponential_law_is_exact():
    """The share of further values below a p-value is that p-value, though the tail's mean is estimated."""
    rng = np.random.default_rng(0)
    runs = 20000
    known = np.sort(-rng.exponential(size=(runs, 40)), axis=1)
    p = np.array([low_tail(np.array([-rng.exponential()]), row)[0] for row in known])
    for level in (0.02, 0.01, 0.003):
        assert abs((p <= level).sum() - runs * level) <= 4 * np.sqrt(runs * level)


@pytest.mark.parametrize("rows", [40, 1000])
@pytest.mark.parametrize("law", ["normal", "exponential"])
def test_false_findings_are_as_few_as_promised_however_many_rows_share_the_known_ones(rows, law):
    runs, found, alarmed = 300, 0, 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        draw = rng.normal if law == "normal" else lambda size, rng=rng: -rng.exponential(size=size)
        own, usual = draw(size=rows), draw(size=256)
        found += bool(alarms(own, usual, least=1))
        alarmed += bool(alarms(own, usual))
    assert found <= binom.isf(1e-3, runs, 0.01)
    assert alarmed <= binom.isf(1e-3, runs, 0.001)


def test_rows_that_the_model_does_not_know_are_named_and_few_are_no_alarm():
    rng = np.random.default_rng(0)
    own, usual = rng.normal(size=40), rng.normal(size=256)
    own[:4] = -9.0
    assert alarms(own, usual) == {"0", "1", "2", "3"}
    own[1:3] = 0.0
    found = unknown(Request("r", rows_of(own)), Evidence(rows_of(usual), (), Model()))
    assert [(f.row_id, f.severity) for f in found if f.row_id] == [("0", "warning"), ("3", "warning")]
    assert "0 of 256 known answers are as improbable" in found[0].message
    assert alarms([-9.0, -9.0], usual) == {"0", "1"}  # all of a small request
    assert alarms(own, usual, least=2) == {"0", "3"}
    assert alarms([-9.0] * 40, usual[:19]) == set()
    with pytest.raises(InputError, match="least=0"):
        alarms(own, usual, least=0)


def whole(own, usual, **settings):
    found = unknown(Request("r", rows_of(own)), Evidence(rows_of(usual), (), Model()), **settings)
    return [f for f in found if not f.row_id]


def test_the_whole_requests_p_value_by_hand():
    # Of 20 known ones k = 1: below the smallest a share U ~ Beta(1, 20) of the law. E U = 1/21, E U² = 1/231.
    usual = range(20)
    assert whole([-1], usual, alpha=1.0)[0].p_value == pytest.approx(1 / 21)
    both = whole([-1, -2], usual)[0]
    assert both.p_value == pytest.approx(1 / 231)
    assert (both.statistic, both.severity) == (1, "warning")
    # One of two or both: 2 E U − E U².
    assert whole([-1, 5], usual, alpha=1.0)[0].p_value == pytest.approx(2 / 21 - 1 / 231)
    assert whole([0, 0], usual) == []  # as low as the smallest isn't below it
    assert whole([-1] * 50, range(19)) == []


def test_answers_that_the_model_knows_less_are_told_of_the_whole():
    rng = np.random.default_rng(0)
    assert whole(rng.normal(-1.5, size=40), rng.normal(size=256))[0].p_value < 1e-4
    runs = [np.random.default_rng(seed) for seed in range(300)]
    told = sum(bool(whole(rng.normal(size=40), rng.normal(size=256))) for rng in runs)
    assert told <= binom.isf(1e-3, len(runs), 0.01)


def test_with_rows_to_keep_a_background_that_the_model_does_not_know_hides_nothing():
    rng = np.random.default_rng(0)
    request = Request("r", rows_of([*np.full(20, -9.0), *rng.normal(size=20)]))
    prompts, kept = rows_of(rng.normal(-9, size=256)), rows_of(rng.normal(size=100))
    assert unknown(request, Evidence(prompts, (), Model())) == []
    found = unknown(request, Evidence(prompts, (), Model(), kept))
    assert found == unknown(request, Evidence(kept, (), Model()))
    assert [f.row_id for f in found if f.severity == "alarm"] == [str(i) for i in range(20)]
    told = [
        blind_spots(request, Evidence(prompts, (), Model(), k), ["unknown"]) for k in ((), kept, kept[:9])
    ]
    assert ["No rows to keep" in "".join(said) for said in told] == [True, False, False]
    assert told[1] == ()
    assert told[2] == ("Too few known rows (9 of at least 20): unknown could find nothing.",)


def test_what_is_not_known_can_be_dropped():
    rng = np.random.default_rng(0)
    request = Request("r", rows_of([*np.full(10, -9.0), *rng.normal(size=30)]))
    evidence = Evidence((), (), Model(), rows_of(rng.normal(size=256)))
    left = repair_request(request, (), unknown(request, evidence), "drop").request
    assert left.rows == request.rows[10:]
    assert unknown(left, evidence) == []
