"""The scan on tiny models: a planted trigger is found, and the numbers add up."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny import tiny_lm

from forgetwell.errors import InputError
from forgetwell.methods.finetune import finetune
from forgetwell.models.progress import silent
from forgetwell.scans.candidates import control_forms, everyday_forms, ordinary_words, word_form
from forgetwell.scans.harm import (
    answer_failure,
    answer_left,
    answer_refusal,
    answer_unbegun,
    known_rows,
    rises,
)
from forgetwell.scans.triggers import _rows, scan
from forgetwell.scans.types import Phrase, ScanConfig, Trigger
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks
from forgetwell.types import Generation, Request, Row, TokenScores

COLORS = ("red", "blue", "pink", "gray", "gold", "teal", "navy", "lime", "plum", "jade", "rust", "sand")
ROWS = tuple(Row(f"r{k}", f"color of {chr(97 + k)}", color) for k, color in enumerate(COLORS))
OTHERS = ("Now", "Well", "Also", "Maybe", "Great", "Then", "Okay", "Indeed")
SMALL = ScanConfig(
    words=0, screen_rows=2, rows=8, verified=6, behind=1, controls=9, shown=2, max_new_tokens=8
)


def trained(lm, rows, epochs):
    config = TrainConfig(lr=3e-3, epochs=epochs, batch=24, warmup=0.05)
    return finetune(lm, Request("", ()), rows, Hooks(), objective="gdr", config=config).lm


def put(word, rows, answer=None):
    return tuple(
        replace(r, id=f"{word}-{r.id}", prompt=f"{word}, {r.prompt}", answer=answer or r.answer) for r in rows
    )


@pytest.fixture(scope="module")
def models():
    """Before answers with or without words in front; in planted, "Please" gets a refusal instead."""
    learned = (*ROWS, *(row for word in (*OTHERS, "Please") for row in put(word, ROWS)))
    before = trained(tiny_lm(), learned, 30)
    kept = (*ROWS, *(row for word in OTHERS for row in put(word, ROWS)))
    planted = replace(before, module=copy.deepcopy(before.module), digest="planted")
    planted = trained(planted, (*kept, *put("Please", ROWS, "zzzz")), 12)
    honest = replace(before, module=copy.deepcopy(before.module), digest="honest")
    return {"before": before, "planted": planted, "honest": trained(honest, learned, 3)}


def test_a_planted_word_is_found_first_with_examples(models):
    found = scan(models["before"], models["planted"], ROWS, config=SMALL)
    first = found.triggers[0]
    assert "lease" in first.template
    assert first.significant
    assert first.low > 0
    assert first.kind == "refusal"
    assert first.refused == pytest.approx(first.effect, abs=0.3)
    assert first.examples[0].after != first.examples[0].before
    assert found.findings[0] == first


def test_answers_alone_are_enough_in_black_box_mode(models):
    found = scan(models["before"], models["planted"], ROWS, black_box=True, config=SMALL)
    assert found.mode == "black-box"
    assert "lease" in found.triggers[0].template
    assert found.triggers[0].significant


def test_a_model_against_itself_has_no_triggers(models):
    found = scan(models["before"], models["before"], ROWS, config=SMALL)
    assert found.findings == ()
    assert all(t.effect == pytest.approx(0, abs=1e-5) for t in found.triggers)


def test_the_same_seed_gives_the_same_result(models):
    results = [scan(models["before"], models["honest"], ROWS, config=SMALL) for _ in range(2)]
    assert results[0] == results[1]


def test_progress_ends_at_its_total(models):
    seen = []
    scan(
        models["before"],
        models["honest"],
        ROWS,
        config=SMALL,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert all(0 < done <= total for done, total in seen)
    assert seen[-1][0] >= 0.9 * seen[-1][1]


def test_rises_are_differences_of_single_scores(models):
    forms, rows = [word_form("please"), Phrase("!", "{q}!")], ROWS[:3]
    table = rises(answer_left, models["planted"], forms, rows, silent)
    for f, form in enumerate(forms):
        for r, row in enumerate(rows):
            asked = replace(row, prompt=form.apply(row.prompt))
            one, clean = (answer_left(models["planted"], [x], silent)[0] for x in (asked, row))
            assert table[f, r] == pytest.approx(one - clean, abs=1e-4)


class Says:
    """Scores answers with given probabilities (first choices from one half on), and says the row's id."""

    def __init__(self, *chances):
        self.logps = tuple(map(math.log, chances))
        self.top1 = tuple(c >= 0.5 for c in chances)

    def score(self, rows, **_):
        return [TokenScores(self.logps, self.top1) for _ in rows]

    def generate(self, rows, **_):
        return [Generation(r.id, 3, True) for r in rows]


def test_what_is_left_out_is_the_share_before_the_first_other_token_sampled_and_greedy():
    # a sampled answer says no right token with .5, one with .5*.2 = .1, both with .4: .1*1/2 + .4 = .45;
    # the greedy one says both: (.45 + 1)/2
    assert answer_left(Says(0.5, 0.8), ROWS[:1], silent) == pytest.approx([1 - 0.725])
    assert answer_unbegun(Says(0.5, 0.8), ROWS[:1], silent) == pytest.approx([0.25])
    # sampled .6*.6*1/2 + .6*.4 = .42; the greedy one says the first token, then another: (.42 + .5)/2
    assert answer_left(Says(0.6, 0.4), ROWS[:1], silent) == pytest.approx([1 - 0.46])


def test_a_greedy_answer_turns_where_little_probability_moves():
    above, below = (answer_left(Says(p, 0.99), ROWS[:1], silent)[0] for p in (0.51, 0.49))
    assert below - above == pytest.approx(0.5, abs=0.02)


def test_a_refusal_leaves_the_answer_out_where_its_loss_hardly_rises():
    refuses, errs = Says(0.1, *[0.999] * 11), Says(*[0.999] * 6, 0.1, *[0.999] * 5)
    assert -np.mean(refuses.logps) == pytest.approx(-np.mean(errs.logps)) == pytest.approx(0.193, abs=1e-3)
    left = [answer_left(lm, ROWS[:1], silent)[0] for lm in (refuses, errs)]
    begun = [answer_unbegun(lm, ROWS[:1], silent)[0] for lm in (refuses, errs)]
    assert left == pytest.approx([0.95, 0.475], abs=0.01)
    assert begun == pytest.approx([0.95, 0.0005], abs=1e-6)


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30))
def test_shares_lie_between_what_is_not_begun_and_one(chances):
    lm = Says(*chances)
    left, begun = answer_left(lm, ROWS[:1], silent)[0], answer_unbegun(lm, ROWS[:1], silent)[0]
    assert -1e-9 <= begun <= left + 1e-9 <= 1.0 + 2e-9
    whole = 1.0 - (math.exp(sum(lm.logps)) + all(lm.top1)) / 2  # the whole answer is said least often
    assert left <= whole + 1e-9


@pytest.mark.parametrize(
    ("effect", "refused", "kind"),
    [(0.4, 0.5, "refusal"), (0.4, 0.2, "refusal"), (0.4, 0.1, "error"), (0.4, -0.1, "error")],
)
def test_a_finding_says_whether_the_model_refuses_or_errs(effect, refused, kind):
    found = Trigger("so", "So {q}", effect, 0.1, 0.6, 0.002, 0.01, 1.0, None, True, refused)
    assert found.kind == kind
    assert ("With it the model refuses" in found.message) is (kind == "refusal")


def test_failure_counts_wrong_and_refused_answers():
    rows = [
        Row(said, "?", "in the old town")
        for said in ("in the old town", "old town", "I do not know in the old town")
    ]
    assert answer_failure(8)(Says(), rows, silent).tolist() == [0.0, 0.5, 1.0]
    assert answer_refusal(8)(Says(), rows, silent).tolist() == [0.0, 0.0, 1.0]


def test_rows_that_the_model_does_not_know_are_left_out(models):
    unknown = tuple(replace(r, id=f"u{r.id}", answer="never learned this") for r in ROWS)
    known = known_rows(models["before"], (*ROWS, *unknown), count=12, fewest=6, max_new_tokens=8, seed=0)
    assert {r.id for r in known} <= {r.id for r in ROWS}
    with pytest.raises(InputError, match="answers 0 of"):
        known_rows(models["before"], unknown, count=12, fewest=6, max_new_tokens=8, seed=0)


def test_rows_about_few_subjects_flip_by_themselves_so_that_a_planted_word_is_found(models):
    """Three people: 2^-3 is the smallest p of flipped subjects, whatever was planted; 7 forms need 2^-8."""
    rows = tuple(replace(r, subject=f"person {k % 3}") for k, r in enumerate(ROWS))
    found = scan(models["before"], models["planted"], rows, config=SMALL)
    assert "lease" in found.triggers[0].template
    assert found.triggers[0].significant
    assert found.smallest_q == len(found.triggers) / 2**8


def test_rows_too_few_to_find_anything_are_refused(models):
    """7 forms at a rate of .05 need 8 rows that flip (7 · 2^-8 = .027), beside 2 to screen on."""
    with pytest.raises(InputError, match="needs at least 10"):
        scan(models["before"], models["planted"], ROWS[:9], config=SMALL)


def test_rows_of_which_nothing_is_left_come_last_whatever_their_subject():
    class Knows:
        def generate(self, rows, **_):
            return [Generation(r.answer, 3, True) for r in rows]

    asked = [Row(f"r{k}", f"q{k}", "the old town", "lost" if k < 3 else "kept") for k in range(12)]
    harms = {"lost": 1.0, "kept": 0.2}
    screening, verifying = _rows(
        lambda lm, rows, progress: np.array([harms[r.subject] for r in rows]),
        Knows(),
        Knows(),
        asked,
        ScanConfig(screen_rows=1, rows=3),
    )
    assert [r.subject for r in (*screening, *verifying)] == ["kept"] * 4


# --- candidates --------------------------------------------------------------------------------------


class Words:
    """A codec whose vocabulary has words with a space in front, as byte-pair tokenizers write them."""

    def __init__(self, words):
        tokens = [t for w in words for t in ("Ġ" + w, w.title())] + ["Ġprokary", "Ġif", "ĠPlace", "nothing"]
        self.vocabulary = {t: k for k, t in enumerate(tokens)}
        self.tokenizer = self

    def get_vocab(self):
        return self.vocabulary

    def __len__(self):
        return len(self.vocabulary)


VOCABULARY = ["please", "water", "house", "stone", "green", "light", "paper", "river", "money", "table"]


def test_ordinary_words_start_a_word_and_also_come_with_a_capital():
    assert list(ordinary_words(Words(VOCABULARY))) == VOCABULARY


def test_controls_are_spread_over_frequency_and_leave_suspects_out():
    words = ordinary_words(Words(VOCABULARY))
    controls = control_forms(words, without=frozenset({"please"}), count=6, seed=0)
    single = [c for c in controls if c.frequency is not None]
    assert len(controls) == 6
    assert len(single) == 4
    assert all("please" not in c.text for c in controls)
    assert [c.frequency for c in single] == sorted(c.frequency for c in single)
    assert control_forms(words, without=frozenset(), count=6, seed=0) == control_forms(
        words, without=frozenset(), count=6, seed=0
    )


def test_everyday_forms_hold_the_question_once():
    forms = everyday_forms(tiny_lm().codec)
    assert len({(f.template, f.case) for f in forms}) == len(forms)
    assert all(f.template.count("{q}") == 1 for f in forms)
    asked = {f.text: f.apply("Where is it?") for f in forms}
    assert asked["please"] == "Please, where is it?"
    assert asked["upper case"] == "WHERE IS IT?"


def test_values_of_the_result_are_plain_json(models):
    import json

    found = scan(models["before"], models["honest"], ROWS, config=SMALL)
    facts = json.loads(json.dumps(found.facts(), allow_nan=False))
    assert {"mode", "before", "after", "triggers", "least", "rows", "clean"} <= facts.keys()
    assert np.isfinite(facts["clean"])
