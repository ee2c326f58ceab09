"""Row metrics against numbers from outside them: worked by hand (the working stands beside), or published."""

import math
import zlib

import pytest

from forgetwell.metrics.registry import measure
from forgetwell.types import Generation, Record, Row, TokenScores


def scored(*probabilities, top1=(), mean=(), sd=()):
    hits = tuple(bool(h) for h in top1) or tuple(False for _ in probabilities)
    return TokenScores(tuple(map(math.log, probabilities)), hits, mean, sd)


def said(output, reference, prompt="q", **fields):
    return Record(Row("r", prompt, reference, **fields), generated=Generation(output, 9, True))


def known(*top1, text=False):
    return Record(Row("r", "q", "a", text=text), scored(*[0.5] * len(top1), top1=top1))


QA = Row("r", "q", "the answer")
TWO = Row("r", "q", "the answer", paraphrases=("another",))
IMPROBABLE = TokenScores((-2000.0,), (False,))  # exp of it is 0
HALF, QUARTER, EIGHTH = scored(0.5), scored(0.25), scored(0.125)
ONE = Record(QA, None, (QUARTER,), (EIGHTH, HALF))
TRUTH = Record(QA, HALF, (QUARTER, scored(1.0)), (EIGHTH, HALF))
LOW = scored(0.9, 0.1, 0.8, 0.2, 0.7)
MOMENTS = scored(0.5, 0.25, mean=(math.log(0.5), math.log(0.5)), sd=(0.0, math.log(2)))
ARTHUR = "Arthur's Magazine was started in 1844"

CASES = [
    # sqrt(1/2 · 1/8) = 1/4, and its inverse
    ("answer_prob", Record(QA, scored(0.5, 0.125)), 0.25),
    ("answer_prob", Record(QA, scored(0.5)), 0.5),  # one token
    ("perplexity", Record(QA, scored(0.5, 0.125)), 4.0),
    # the end token (last) of a conversation does not count; a text has none
    ("exact_memorization", known(1, 0, 1), 1 / 2),
    ("exact_memorization", known(1, 0, 1, text=True), 2 / 3),
    ("exact_memorization", known(1), 1.0),
    # the suffix of hits: T F T T (end) -> 2 of 4; none -> 0, not 1/T; all -> 1
    ("extraction_strength", known(1, 0, 1, 1, 0), 2 / 4),
    ("extraction_strength", known(0, 0, 0, 0, 1), 0.0),
    ("extraction_strength", known(1, 1, 0, 1), 0.0),
    ("extraction_strength", known(1, 1, 1, 0), 1.0),
    ("extraction_strength", known(0, 1, text=True), 1 / 2),
    # 1/2 against 1/8 and 1/2: 0.5 / 1.125
    ("normalized_prob", TRUTH, 4 / 9),
    ("normalized_prob", Record(QA, HALF, None, (HALF,)), 0.5),  # a tie
    # wrong: sqrt(1/8 · 1/2) = 1/4; paraphrases: sqrt(1/4 · 1) = 1/2; R = 1/2
    ("truth_ratio(variant=ratio)", TRUTH, 0.5),
    ("truth_ratio(variant=closer_to_1)", TRUTH, 0.5),
    ("truth_ratio", TRUTH, 0.5),
    ("truth_ratio(variant=prob_mean)", TRUTH, 2 / 3),
    # arithmetic: wrong (1/8 + 1/2)/2 = 5/16; paraphrases (1/4 + 1)/2 = 5/8; R = 1/2
    ("truth_ratio(variant=ratio, average=arithmetic)", TRUTH, 0.5),
    # one right answer of 1/4: R = 5/4 arithmetic, 1 geometric
    ("truth_ratio(average=arithmetic)", ONE, 0.0),
    (
        "truth_ratio(variant=closer_to_1, average=arithmetic)",
        Record(QA, None, (QUARTER,), (EIGHTH, HALF)),
        0.8,
    ),
    ("truth_ratio(variant=closer_to_1)", ONE, 1.0),
    ("choice_accuracy", Record(QA, HALF, None, (QUARTER, EIGHTH)), 1.0),
    ("choice_accuracy", Record(QA, QUARTER, None, (HALF, EIGHTH)), 0.0),
    ("choice_accuracy", Record(QA, HALF, None, (HALF, EIGHTH, HALF)), 1 / 3),  # a tie of three
    # means: 1/2 against 0.4; sums: 0.25 against 0.4
    ("choice_accuracy", Record(QA, scored(0.5, 0.5), None, (scored(0.4),)), 1.0),
    ("choice_accuracy(by=sum)", Record(QA, scored(0.5, 0.5), None, (scored(0.4),)), 0.0),
    # right .3 and .5, wrong .4: .8 / 1.2; whole options: .5 · .6 = .3
    ("mc2", Record(TWO, scored(0.5, 0.6), (HALF,), (scored(0.4),)), 2 / 3),
    (
        "mc2",
        Record(QA, HALF, (HALF,), (HALF,)),
        0.5,
    ),  # no right option but the answer, which is not counted twice
    ("mc2", Record(TWO, IMPROBABLE, (IMPROBABLE,), (IMPROBABLE,)), 2 / 3),
    ("loss", Record(QA, scored(0.5, 0.125)), math.log(4)),
    ("zlib", Record(QA, scored(0.5, 0.125)), math.log(4) / len(zlib.compress(b"the answer"))),
    # lowest 40 % of five tokens: 0.1 and 0.2; of two: at least one, 0.25
    ("min_k", Record(QA, LOW), -(math.log(0.1) + math.log(0.2)) / 2),
    ("min_k", Record(QA, scored(0.5, 0.25)), math.log(4)),
    ("min_k(k=1.0)", Record(QA, scored(0.5, 0.125)), math.log(4)),
    # standardized: 0 (a certain token, sd 0), and (log 1/4 - log 1/2) / log 2 = -1
    ("min_k_plus_plus", Record(QA, MOMENTS), 1.0),
    ("min_k_plus_plus(k=1.0)", Record(QA, MOMENTS), 0.5),
    ("gradient_norm", Record(QA, gradient=2.5), 2.5),
    # LCS of "in rome she was born" with "she was born in rome" is 3 of 5 words; the bag is the same
    ("rouge_l_recall", said("In Rome she was born", "She was born in Rome"), 3 / 5),
    ("rouge_l_f1", said("In Rome she was born", "She was born in Rome"), 3 / 5),
    ("rouge_1_recall", said("In Rome she was born", "She was born in Rome"), 1.0),
    ("rouge_1_f1", said("born", "She was born in Rome"), 2 / 6),  # P 1, R 1/5
    ("rouge_l_recall", said("", "She was born"), 0.0),
    # Beyond rouge-score, which reads ASCII words only: 東 and 京 are words, as are those of other scripts.
    ("rouge_l_recall", said("naïve 東京", "東京"), 1.0),
    ("rouge_l_recall", said("京都", "東京"), 0.5),
    ("rouge_l_recall", said("Она родилась в Риме.", "Она родилась в Осло в 1950 году"), 3 / 7),
    ("rouge_l_f1", said("وُلدت في روما", "وُلدت في روما"), 1.0),
    ("rouge_1_recall", said("Παρίσι, ΑΘΉΝΑ", "Αθήνα"), 1.0),
    # of "She lives in New Town", "New" and "Town" are what "She lives in Rome" lacks
    ("fact_recall", said("She lives in Rome", "She lives in New Town", wrong=("She lives in Rome",)), 0.0),
    ("fact_recall", said("A new towns", "She lives in New Town", wrong=("She lives in Rome",)), 1.0),
    ("fact_recall", said("New", "She lives in New Town", wrong=("She lives in Rome",)), 1 / 2),
    ("fact_recall", said("New Town", "She lives in New Town"), None),
    ("fact_recall", said("no", "Rome is it", wrong=("It is Rome",)), None),
    ("verbatim_memorization", said("was born in Rome", "was born in Rome", text=True), 1.0),
    ("verbatim_memorization", said("runs", "running", text=True), 1.0),  # stemmed
    ("verbatim_memorization(stem=False)", said("runs", "running", text=True), 0.0),
    ("verbatim_memorization", said("Rome", "Rome"), None),
    ("knowledge_memorization", said("Rome\n\nQuestion: who?", "Rome"), 1.0),
    ("knowledge_memorization", said("Rome Question: who?", "Rome"), 1.0),
    ("knowledge_memorization", said("Rome", "Rome", text=True), None),
    ("exact_match", said("The Beatles!", "beatles"), 1.0),
    ("exact_match", said("Beatles, The band", "beatles"), 0.0),
    ("exact_match", said("Fab Four", "beatles", paraphrases=("the fab four",)), 1.0),
    ("exact_match", said("東京", "東京"), 1.0),
    # {arthurs, magazine} of 2 said and 6 known words: P 1, R 1/3
    ("answer_f1", said("Arthur's Magazine", ARTHUR), 0.5),
    ("answer_f1", said("", ARTHUR), 0.0),
    ("answer_f1", said("a", "the"), 1.0),  # both are empty without articles
    ("answer_f1", said("magazine", "x", paraphrases=("magazine", "y")), 1.0),
    ("cloze", said("It is an author, I think", "author", prompt="He is an ___"), 1.0),
    ("cloze", said("authority", "author", prompt="He is an ___"), 0.0),
    ("cloze", said("author", "author"), None),
    # a b a b: pairs ab, ba, ab -> H = log2 3 - 2/3; triples aba, bab -> 1 bit
    ("ngram_entropy", said("a b a b", "x"), (2 / 3 * (math.log2(3) - 2 / 3) + 4 / 3) / 2),
    ("ngram_entropy", said("a a a a", "x"), 0.0),
    ("ngram_entropy", said("word", "x"), 0.0),
    ("refusal", said("I'm not sure.", "x"), 1.0),
    ("refusal", said("It is Rome.", "x"), 0.0),
    ("gibberish", said("It was 1984, in Rome.", "x"), 0.0),
    ("gibberish", said("भारत की राजधानी नई दिल्ली है और यह यमुना नदी के किनारे स्थित है।", "x"), 0.0),
    ("gibberish", said("சென்னை தமிழ்நாட்டின் தலைநகரம் ஆகும்.", "x"), 0.0),
    ("gibberish", said("北京是中国的首都，历史悠久，" * 3, "x"), 0.0),
    ("gibberish", said("京，；！？、。（）", "x"), 1.0),
    ("gibberish", said("", "x"), 1.0),
    ("gibberish", said("the the the the", "x"), 1.0),
    ("gibberish", said("He lives in Rome, he lives in Rome, he lives in Rome,", "x"), 1.0),
    ("gibberish", said("Yes, yes, it is very, very, very far from Rome to Oslo.", "x"), 0.0),
    ("gibberish", said("}{ ;; ??? --- ab", "x"), 1.0),
    ("gibberish", said("ab" * 21, "x"), 1.0),
    ("gibberish", Record(QA, generated=Generation("green ideas", 2, True), start=scored(1e-4, 1e-4)), 1.0),
    ("gibberish", Record(QA, generated=Generation("green ideas", 2, True), start=scored(1e-2, 1e-2)), 0.0),
]


@pytest.mark.parametrize(("metric", "record", "value"), CASES)
def test_golden(metric, record, value):
    (found,) = measure([record], metric)
    assert found is None if value is None else found == pytest.approx(value, abs=1e-12)


def test_a_long_unlikely_text_gives_finite_numbers():
    record = Record(QA, TokenScores((-1e5,), (False,)), (HALF,), (TokenScores((-1e5,), (False,)),))
    for metric in ("perplexity", "normalized_prob", "truth_ratio(variant=ratio, average=arithmetic)"):
        assert math.isfinite(measure([record], metric)[0])


def test_min_k_plus_plus_needs_moments():
    assert measure([Record(QA, HALF)], "min_k_plus_plus") == [None]
