import os
import random

import pytest

from forgetwell.experiments.screening import attack_calls
from forgetwell.experiments.screening_data import (
    honest_request,
    load_pool,
    make_background,
    politely,
)
from forgetwell.experiments.screening_figures import auc, roc_points, tpr_at
from forgetwell.types import Row

needs_data = pytest.mark.skipif(not os.environ.get("FORGETWELL_DATA"), reason="FORGETWELL_DATA is not set")


def test_areas_and_rates_by_hand():
    assert auc([0, 1], [1, 2]) == 0.875  # pairs: 1>0, 1=1, 2>0, 2>1
    honest = [0.0] * 99 + [5.0]
    assert tpr_at(honest, [1.0, 6.0, 0.0, 2.0], 0.01) == 0.75
    assert tpr_at(honest, [1.0, 6.0], 0.0) == 0.5
    assert roc_points([0, 1], [1, 2]) == [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]


def test_honest_requests_pool_whole_subjects_and_have_the_size_asked():
    subjects = {s: tuple(Row(f"{s}{i}", f"{s}{i}?", "x", s) for i in range(20)) for s in "abcd"}
    request = honest_request(subjects, random.Random(0), rows=30)
    assert len(request.rows) == 30
    sizes = [sum(r.subject == s for r in request.rows) for s in {r.subject for r in request.rows}]
    assert sorted(sizes) == [15, 15]
    polite = politely(request, random.Random(0), share=1.0)
    assert all(a.prompt != b.prompt for a, b in zip(polite.rows, request.rows, strict=True))


def test_development_and_report_attack_with_other_words():
    for family in ("synonyms", "midsentence", "foreign_frame", "punctuation"):
        calls = [
            {attack_calls(family, half, 0.2, {}, {})(i, "tofu") for i in range(40)}
            for half in ("development", "report")
        ]
        assert not calls[0] & calls[1]


@needs_data
def test_halves_share_no_subject_and_the_background_is_of_its_own():
    halves = [load_pool(half).subjects for half in ("background", "development", "report")]
    for name in ("tofu", "rwku", "world"):
        sets = [set(h[name]) for h in halves]
        assert not sets[0] & sets[1] | sets[0] & sets[2] | sets[1] & sets[2]
    subjects = {r.subject for r in make_background(general=50)} - {""}
    assert subjects == {s for part in halves[0].values() for s in part if s}
