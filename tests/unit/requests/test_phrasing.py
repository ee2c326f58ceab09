import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from forgetwell.requests.grams import Grams
from forgetwell.requests.phrasing import learn_phrasing, row_p_values, unit_traits
from forgetwell.requests.screening import Evidence
from forgetwell.requests.screens.surprise import surprise, surprised
from forgetwell.requests.tokens import tokens_of
from forgetwell.types import Request, Row

WORDS = (
    "who", "what", "when", "where", "how", "can you", "do you know", "then", "please", "now",
    "i wonder", "for",
)  # fmt: skip
FRAMES = (
    "Quick one: {}",
    "Settle this: {}",
    "My sister forgot, {}",
    "I keep asking myself {}",
    "{} Any idea?",
)


def test_subject_words_are_masked_and_marks_kept():
    tokens, spans = tokens_of("So, what did Ann Lee's brother write?")
    assert tokens == ("so", ",", "what", "did", "·", "…", "~", "?")
    assert spans[4] == (13, 22)
    assert tokens_of("") == ((), ())


def test_witten_bell_by_hand():
    grams = Grams()
    grams.count(["a", "b"], 1)
    grams.count(["a"], 1)
    # Unigrams: a 2, b 1, end 2: 5 tokens, 3 distinct. After "<": a twice. After "a": b once, the end once.
    first = (2 + 3 / 1000) / 8
    first = (2 + 1 * first) / 3  # history "<"
    first = (2 + 1 * first) / 3  # history "< <"
    end = (2 + 3 / 1000) / 8
    end = (1 + 2 * end) / 4  # history "a"
    end = (1 + 2 * end) / 4  # history "< a"
    assert grams.costs(["a"]) == pytest.approx([-math.log(first), -math.log(end)])


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=6), min_size=1, max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_taking_a_text_away_undoes_adding_it_and_probabilities_sum_to_at_most_one(texts, data):
    kept, passing = Grams(), data.draw(st.lists(st.sampled_from("abcde"), max_size=6))
    for text in texts:
        kept.count(text, 1)
    before = [sum(kept.costs(text)) for text in texts]
    kept.count(passing, 1)
    kept.count(passing, -1)
    assert [sum(kept.costs(text)) for text in texts] == pytest.approx(before)
    history = data.draw(st.lists(st.sampled_from("abcd<"), min_size=2, max_size=2))
    assert sum(math.exp(-kept.cost((*history, t))) for t in "abcd>") <= 1 + 1e-9


def subject_rows(name, rng, count=10):
    """A subject with a taste of its own for a few of many openings and closings."""
    liked = rng.choices(WORDS, weights=range(len(WORDS), 0, -1), k=4)
    rows = []
    for i in range(count):
        opening = rng.choice(liked) if rng.random() < 0.7 else rng.choice(WORDS)
        text = f"{opening} {rng.choice(WORDS)} {name} {rng.choice(('sing', 'in the end', 'do', 'and why'))}?"
        rows.append(Row(f"{name}{i}", text.capitalize(), "x", name))
    return rows


def pooled(names, rng):
    return Request("r", tuple(row for n in names for row in subject_rows(n, rng)))


def background(rng, subjects=60):
    return tuple(row for i in range(subjects) for row in subject_rows(f"B{i} Moss", rng))


def test_p_values_of_pools_of_new_subjects_are_not_too_small():
    p = []
    for world in range(4):
        rng = random.Random(world)
        evidence = Evidence(background(rng))
        p += [
            surprised(pooled([f"N{i}-{k} Hall" for k in range(4)], rng), evidence)[0].p_value
            for i in range(60)
        ]
    for alpha in (0.01, 0.05, 0.2, 0.5):
        found = sum(v <= alpha for v in p)
        assert found <= binom.isf(1e-4, len(p), alpha), (alpha, found)
    assert min(p) < 0.25  # neither are they all large


def test_p_values_of_rows_are_not_too_small():
    rng = random.Random(7)
    rows = background(rng, 80)
    phrasing = learn_phrasing(rows, "rows")
    new = [unit_traits(row.prompt, phrasing) for i in range(80) for row in subject_rows(f"N{i} Hall", rng)]
    p, _ = row_p_values(new, phrasing)
    for level in (0.1, 0.3, 0.5):
        assert level / 3 < np.mean(p <= level) < level + 0.04  # rows that open alike are tied
    assert 0 < p.min() <= p.max() <= 1


def test_frames_in_turn_are_found_and_named():
    rng = random.Random(3)
    evidence = Evidence(background(rng))
    honest = pooled([f"N{k} Hall" for k in range(4)], rng)
    assert surprise(honest, evidence) == []
    rows = [
        Row(r.id, FRAMES[i // 5 % 5].format(r.prompt) if i % 5 == 0 else r.prompt, r.answer, r.subject)
        for i, r in enumerate(honest.rows)
    ]
    found = surprise(Request("a", tuple(rows)), evidence)
    edited = {r.id for i, r in enumerate(rows) if i % 5 == 0}
    assert len({f.row_id for f in found} & edited) >= 6
    assert len({f.row_id for f in found} - edited) <= 4
    assert {f.p_value for f in found} == {surprised(Request("a", tuple(rows)), evidence)[0].p_value}


def test_the_order_of_rows_does_not_matter_and_nothing_to_compare_is_no_error():
    rng = random.Random(5)
    evidence = Evidence(background(rng))
    request = pooled(["Ann Hall", "Bob Hall"], rng)
    turned = Request("t", request.rows[::-1])
    assert surprised(turned, evidence)[0].p_value == surprised(request, evidence)[0].p_value
    assert surprised(request, Evidence(())) == ()
    assert surprised(Request("e", ()), evidence) == ()


TEMPLATES = {
    "Chinese": (
        "{}在哪里出生？", "{}的职业是什么？", "{}的第一本书是什么时候出版的？", "{}最喜欢的菜是什么？",
        "{}和谁结婚了？", "{}现在住在哪个城市？", "{}的母亲叫什么名字？", "{}会演奏什么乐器？",
    ),
    "Arabic": (
        "أين وُلد {}؟", "ما هي مهنة {}؟", "متى صدر أول كتاب لـ{}؟", "ما هو الطبق المفضل لدى {}؟",
        "من هو زوج {}؟", "في أي مدينة يعيش {} الآن؟", "ما اسم والدة {}؟", "أي آلة موسيقية يعزف عليها {}؟",
    ),
}  # fmt: skip
NAMES = {
    "Chinese": [a + b for a in "李王张刘陈杨赵黄周吴" for b in ("伟明", "秀英", "建国", "丽娜", "志强")],
    "Arabic": [
        f"{a} {b}"
        for a in ("أحمد", "محمد", "فاطمة", "ليلى", "عمر", "سارة", "خالد", "نور", "حسن", "مريم")
        for b in ("الخطيب", "النجار", "حداد", "الشامي", "منصور")
    ],
}
FRAME = {"Chinese": "你好, 我想知道: {}", "Arabic": "من فضلك، قل لي: {}"}


@pytest.mark.parametrize("language", TEMPLATES)
def test_questions_from_the_backgrounds_own_templates_are_no_surprise_and_framed_ones_are(language):
    """Held-out and whole counts put the same question some thousandths apart."""
    names = NAMES[language]
    random.Random(0).shuffle(names)
    rows = [
        Row(f"{name}{i}", text.format(name), "x", name)
        for name in names
        for i, text in enumerate(TEMPLATES[language])
    ]
    evidence = Evidence(tuple(rows[: 40 * 8]))
    honest = rows[40 * 8 : 43 * 8]
    assert surprised(Request("r", tuple(honest)), evidence)[0].p_value > 0.5
    framed = [
        Row(r.id, FRAME[language].format(r.prompt) if i % 3 == 0 else r.prompt, r.answer, r.subject)
        for i, r in enumerate(honest)
    ]
    assert surprise(Request("a", tuple(framed)), evidence)
