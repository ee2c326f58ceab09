from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binom

from forgetwell.requests.reach import blind_spots
from forgetwell.requests.repairs import repair_request
from forgetwell.requests.screening import Evidence
from forgetwell.requests.screens.losses import unknown
from forgetwell.types import Request, Row


class Model:
    """Answers are numbers: their log-probabilities."""

    def score(self, rows):
        return [SimpleNamespace(logps=(float(row.answer),)) for row in rows]


def rows_of(values):
    return tuple(Row(str(i), "Where?", repr(float(v))) for i, v in enumerate(values))


def whole(own, usual, **settings):
    found = unknown(Request("r", rows_of(own)), Evidence(rows_of(usual), (), Model()), **settings)
    return [f for f in found if f.severity == "alarm" and not f.row_id]


def test_the_whole_requests_p_value_by_hand():
    # Below the smallest of 19: a share U ~ Beta(1, 19) of the law. E U = 1/20, E U² = 1 · 2 / (20 · 21).
    usual = range(19)
    assert whole([-1], usual, alpha=1.0)[0].p_value == pytest.approx(1 / 20)
    both = whole([-1, -2], usual)[0]
    assert both.p_value == pytest.approx(1 / 210)
    assert both.statistic == 1
    # One of two or both: 2 E U − E U².
    assert whole([-1, 5], usual, alpha=1.0)[0].p_value == pytest.approx(2 / 20 - 1 / 210)
    # As low as the smallest isn't below it, and of 18 none can be among the lowest twentieth.
    assert whole([0, 0], usual) == []
    assert whole([-1] * 50, range(18)) == []


@pytest.mark.parametrize("rows", [40, 1000])
def test_false_alarms_are_as_many_as_promised_however_many_rows_share_the_background(rows):
    runs = 300
    found = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        found += bool(whole(rng.normal(size=rows), rng.normal(size=256)))
    assert found <= binom.isf(1e-3, runs, 0.01)


def test_answers_that_the_model_does_not_know_are_found():
    rng = np.random.default_rng(0)
    assert whole(rng.normal(-1.5, size=40), rng.normal(size=256))[0].p_value < 1e-4


def test_with_rows_to_keep_a_background_that_the_model_does_not_know_hides_nothing():
    rng = np.random.default_rng(0)
    request = Request("r", rows_of([*np.full(20, -9.0), *rng.normal(size=20)]))
    prompts, kept = rows_of(rng.normal(-9, size=256)), rows_of(rng.normal(size=100))
    assert unknown(request, Evidence(prompts, (), Model())) == []
    found = unknown(request, Evidence(prompts, (), Model(), kept))
    assert found == unknown(request, Evidence(kept, (), Model()))
    assert {f.row_id for f in found if f.severity == "alarm"} >= {str(i) for i in range(20)}
    assert "than 95 % of known ones" in found[0].message
    told = [
        blind_spots(request, Evidence(prompts, (), Model(), k), ["unknown"]) for k in ((), kept, kept[:9])
    ]
    assert ["No rows to keep" in "".join(said) for said in told] == [True, False, False]
    assert told[1] == ()
    assert told[2] == ("Too few known rows (9 of at least 19): unknown could find nothing.",)


def test_rows_that_an_alarm_of_the_whole_rests_on_are_named_so_that_drop_can_leave_them_out():
    """Of 256 values none is small enough for fewer than 16 of 40 rows, each adjusted for all."""
    rng = np.random.default_rng(0)
    known, usual = rng.normal(size=30), rng.normal(size=256)
    request = Request("r", rows_of([*np.full(10, -9.0), *known]))
    found = unknown(request, Evidence(rows_of(usual), (), Model()))
    lowest = {str(i) for i, v in enumerate(known, 10) if v < np.sort(usual)[11]}
    named = [f for f in found if f.row_id]
    assert {f.row_id for f in named} == {str(i) for i in range(10)} | lowest
    assert {f.severity for f in named} == {"alarm"}
    assert "5 % would be" in named[0].message
    left = repair_request(request, (), found, "drop").request.rows
    assert [row.id for row in left] == [
        row.id for row in request.rows if row.id not in {f.row_id for f in named}
    ]
    assert unknown(replace(request, rows=left), Evidence(rows_of(usual), (), Model())) == []
