import math
import random
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.requests.grams import START, Grams
from forgetwell.requests.logistic import fit_logistic
from forgetwell.requests.random_frames import BEHIND, FRONT, INSIDE, ordinary_runs, reworded_by_lot
from forgetwell.requests.screens.surprise import tail_share
from forgetwell.requests.tokens import tokens_of
from forgetwell.requests.traits import TRAITS, traits_of
from forgetwell.requests.words import words

PROMPTS = tuple(
    f"{ask} Ann Lee {verb}?"
    for ask in ("Where did", "When did", "Why did")
    for verb in ("live", "go", "sing")
)
(
    OPENING, CLOSING, INSIDE_AT, MEAN, START_GAIN, END_GAIN, BEFORE, FREE_BEFORE, FREE_BEHIND,
    LATER, SUBJECT_AFTER, AFTER_MARK, STOP_BEFORE, TWO_ASKS, COMMA_BEHIND,
) = range(TRAITS)  # fmt: skip


def models(texts=PROMPTS):
    forward, backward = Grams(), Grams()
    for text in texts:
        tokens, _ = tokens_of(text)
        forward.count(tokens, 1)
        backward.count(tokens[::-1], 1)
    return forward, backward


def named(text):
    found = traits_of(text, *models())
    return found.values, [text[a:b] for a, b in found.spans]


def test_a_new_start_is_found_behind_a_frame_and_a_new_end_before_one():
    plain, _ = named("Where did Ann Lee live?")
    front, spans = named("By the way, where did Ann Lee live?")
    assert spans[0] == "By the way,"
    assert front[START_GAIN] > 2 > 0 > plain[START_GAIN]
    assert (front[FREE_BEFORE], front[LATER], front[STOP_BEFORE]) == (1, 1, 1)
    assert plain[LATER] == plain[STOP_BEFORE] == 0
    behind, spans = named("Where did Ann Lee live? and then?")
    assert spans[1] == "and then?"
    assert behind[END_GAIN] > 2 > 0 > plain[END_GAIN]
    assert behind[FREE_BEHIND] == 1
    assert named("Where did Ann Lee live, and why?")[0][COMMA_BEHIND] == 1
    assert named("Where did Ann Lee live? Thanks.")[0][AFTER_MARK] == 1
    assert named("Ann Lee did what, and when?")[0][TWO_ASKS] == 1


def test_the_gain_of_a_new_start_by_hand():
    forward, backward = models()
    tokens, _ = tokens_of("So, where did Ann Lee live?")
    at = tokens.index("where")
    fresh = forward.cost((START, START, "where")) + forward.cost((START, "where", "did"))
    standing = forward.cost(("so", ",", "where")) + forward.cost((",", "where", "did"))
    found = traits_of("So, where did Ann Lee live?", forward, backward)
    assert found.values[START_GAIN] == pytest.approx(standing - fresh)
    assert found.values[BEFORE] == pytest.approx(sum(forward.costs(tokens)[:at]) / at)


def test_texts_without_tokens_or_with_one_have_traits():
    for text in ("", "  ", "a", "?"):
        found = traits_of(text, *models())
        assert len(found.values) == TRAITS
        assert all(map(math.isfinite, found.values))


def test_rewordings_keep_the_question_and_say_where_they_are():
    runs, rng = ordinary_runs(["By the way, where is it?", "And then Ann Lee went"]), random.Random(0)
    assert ("by", "the", "way", "where", "is", "it") in runs
    seen = set()
    for _ in range(300):
        text, place = reworded_by_lot("Where did Ann Lee live?", runs, rng)
        seen.add(place)
        own = [w.text for w in words("Where did Ann Lee live?")]
        new = [w.text for w in words(text)]
        assert len(own) < len(new) <= len(own) + (1 if place == INSIDE else 6)
        assert {
            FRONT: new[-5:] == own,
            BEHIND: new[:5] == own,
            INSIDE: new[:2] + new[-1:] == own[:2] + own[-1:],
        }[place]
    assert seen == {FRONT, BEHIND, INSIDE}
    again = [reworded_by_lot(t, runs, random.Random(1)) for t in ("", "a", "a b c")]
    assert again == [reworded_by_lot(t, runs, random.Random(1)) for t in ("", "a", "a b c")]
    assert reworded_by_lot("Who?", (), random.Random(2))[0] != "Who?"


def test_the_classifier_recovers_a_known_likelihood_ratio():
    # N(1, 1) and N(-1, 1) against N(0, 1): log ratios x - 1/2 and -x - 1/2 where the classes weigh the same.
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(m, 1, 20_000) for m in (0, 1, -1)])[:, None]
    classes = np.repeat([0, 1, 2], 20_000)
    model = fit_logistic(x, classes, np.ones(60_000))
    at = np.array([[-1.0], [0.0], [2.0]])
    assert model.log_odds(at) == pytest.approx(np.c_[at - 0.5, -at - 0.5], abs=0.06)


def test_the_classifier_meets_its_score_equations():
    rng = np.random.default_rng(1)
    x, classes = rng.normal(size=(60, 3)), rng.integers(0, 3, 60)
    share = rng.uniform(0.5, 2, 60)
    model = fit_logistic(x, classes, share, ridge=0.7)
    odds = np.exp(np.c_[np.zeros(60), model.log_odds(x)])
    error = odds / odds.sum(axis=1, keepdims=True) - np.eye(3)[classes]
    z = np.c_[np.ones(60), (x - model.center) / model.scale]
    slope = z.T @ (share[:, None] * error)[:, 1:]
    slope[1:] += 0.7 * model.weights[1:]
    assert np.abs(slope).max() < 1e-3


class TestTailShare:
    def test_it_is_counted_where_many_draws_are_above(self):
        null = np.arange(1000.0)
        assert tail_share(null, 900.0) == 101 / 1001
        assert tail_share(null, -5.0) == 1.0
        assert tail_share(null, 980.0) == 21 / 1001  # the 20th largest

    def test_beyond_it_falls_as_an_exponential_tail(self):
        # the highest tenth, 900 to 999, exceeds 900 by 49.5 in the mean
        null = np.arange(1000.0)
        assert tail_share(null, 980.0 + 49.5) == pytest.approx(21 / 1001 * math.exp(-1))
        assert tail_share(null, 2000.0) == pytest.approx(21 / 1001 * math.exp(-1020 / 49.5))

    @given(
        st.lists(st.floats(-1e6, 1e6), min_size=201, max_size=300), st.floats(-1e6, 1e6), st.floats(0, 1e6)
    )
    def test_a_larger_value_is_never_more_likely(self, draws, value, more):
        null = np.sort(np.array(draws))
        assert 0 <= tail_share(null, value + more) <= tail_share(null, value) * (1 + 1e-9) <= 1 + 1e-9

    @pytest.mark.parametrize("z", [3.0, 4.0, 5.0])
    def test_it_is_right_for_an_exponential_tail_and_on_the_safe_side_for_a_lighter_one(self, z):
        quantiles = (np.arange(4999) + 0.5) / 4999
        exponential, normal = -np.log(1 - quantiles), np.array([NormalDist().inv_cdf(q) for q in quantiles])
        assert tail_share(exponential, 2 * z) == pytest.approx(math.exp(-2 * z), rel=0.1)
        assert tail_share(normal, z) > 0.9 * 0.5 * math.erfc(z / math.sqrt(2))

    def test_draws_that_are_all_alike_have_no_tail(self):
        assert tail_share(np.zeros(1000), 1.0) == 1 / 1001
        assert tail_share(np.zeros(1000), 0.0) == 1
        rounded = np.concatenate((np.zeros(997), np.full(3, 1e-17)))  # alike but for rounding
        assert tail_share(rounded, 1.0) == 1 / 1001

    def test_no_p_value_is_zero(self):
        assert tail_share(np.arange(1000.0), 1e9) > 0
