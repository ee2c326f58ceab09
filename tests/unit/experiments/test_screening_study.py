import os
import random
import tomllib
from pathlib import Path

import pytest
from scipy.stats import binom

from forgetwell.experiments import screening
from forgetwell.experiments.screening_attacks import AttackFiles, attack_calls
from forgetwell.experiments.screening_data import (
    SETS,
    divide_anew,
    honest_request,
    load_pool,
    make_background,
    politely,
)
from forgetwell.experiments.screening_figures import (
    Rate,
    ScoredRequest,
    cell,
    flagged,
    honest_table,
    roc_points,
    tpr_at,
)
from forgetwell.metrics.privacy import auc
from forgetwell.requests.frames import family_frames, family_words
from forgetwell.requests.words import word_lists
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
            {attack_calls(family, half, 0.2, AttackFiles({}, {}))(i, "tofu") for i in range(40)}
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


def test_rates_have_exact_intervals():
    assert Rate(0, 600).interval == pytest.approx((0, 1 - 0.025 ** (1 / 600)))
    assert Rate(600, 600).interval == pytest.approx((0.025 ** (1 / 600), 1))
    low, high = Rate(3, 20).interval
    assert binom.sf(2, 20, low) == pytest.approx(0.025)
    assert binom.cdf(3, 20, high) == pytest.approx(0.025)


def test_cells_and_tables_by_hand():
    def scored(score, *alarms, rewritten=0):
        return ScoredRequest({"a": score, "b": 0.0}, alarms, rewritten)

    plain = [scored(0.5)] * 99 + [scored(3.0, "a")]
    attacked = [scored(1.0, rewritten=3), scored(4.0, "a", "b", rewritten=6), scored(5.0, "b", rewritten=8)]
    found = cell("f", 0.2, plain, attacked)
    assert (found.tpr, found.flagged, found.well_attacked) == (1.0, Rate(2, 3), Rate(2, 2))
    assert found.auc == pytest.approx((0.99 + 1 + 1) / 3)
    assert flagged(plain) == Rate(1, 100)
    line = honest_table({"plain": [plain[:50], plain[50:]]}).splitlines()[-1]
    assert line.endswith("| 0, 1 | `a` 1 |")


def test_the_reports_phrasings_are_not_those_of_development():
    text = (Path(screening.__file__).parent / "assets" / "held_out_frames.toml").read_text(encoding="utf-8")
    held_out = tomllib.loads(text)
    for family in ("paraphrased", "adaptive"):
        assert not set(held_out[family]) & set(family_frames()[family]["frames"])
    spoken = {w for frame in held_out["rotating"] for w in frame.lower().replace(",", " ").split()}
    assert not spoken & set(family_words("rotating"))
    assert all(frame.count("{q}") == 1 for frames in held_out.values() for frame in frames)


def test_unlisted_words_are_in_no_list_and_each_halfs_own():
    path = Path(screening.__file__).parent / "assets" / "unlisted_words.toml"
    halves = tomllib.loads(path.read_text(encoding="utf-8"))
    every = [word for half in ("development", "report") for word in halves[half]]
    assert len(every) == len(set(every)) > 12
    assert not set(every) & set().union(*word_lists().values())


@needs_data
def test_splits_of_the_halves_share_no_subject():
    parts = {half: [divide_anew(half, split) for split in (1, 2)] for half in ("development", "report")}
    usual = load_pool("background").subjects
    for name in SETS["questions"]:
        whole = [
            {
                s
                for background, asked in parts[half]
                for s in (*background.subjects[name], *asked.subjects[name])
            }
            for half in ("development", "report")
        ]
        assert not whole[0] & whole[1]
        for background, asked in (*parts["development"], *parts["report"]):
            assert not set(background.subjects[name]) & set(asked.subjects[name])
            assert len(background.subjects[name]) == len(usual[name])
        assert parts["report"][0][0].subjects[name].keys() != parts["report"][1][0].subjects[name].keys()
