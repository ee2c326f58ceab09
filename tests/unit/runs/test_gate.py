"""The gate: intervals' ends against limits, missing measurements, and damage that adds up over requests."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forgetwell.runs.evidence import Evaluation, Evidence, Measured
from forgetwell.runs.gate import decide
from forgetwell.runs.policy import Policy, Rule, load_policy

UTILITY = Rule("utility", "utility/clean", "loss", at_most=0.1)


def evaluation(model, roles=None, **splits):
    """Splits as forget_clean=[…]: one row a value, each its own cluster; sets but forget are utility sets."""
    rows = {
        name.replace("_", "/", 1): {
            f"base{k}{'#0' if 'trigger' in name else ''}": Measured(f"c{k}", {"rouge_l_recall": v})
            for k, v in enumerate(values)
        }
        for name, values in splits.items()
    }
    sets = {name.partition("/")[0] for name in rows}
    return Evaluation(
        model, rows, {s: "forget" if s == "forget" else "utility" for s in sets} | (roles or {})
    )


def evidence(before, after, scan=None):
    there = {e.model: e for e in (before, after) if e is not None}
    return Evidence("a", "b", {"digest": "d", "rows": 2, "subjects": 1}, {"run": "r"}, there, scan)


def lines(rule, before, after, scan=None):
    return decide(Policy("p", (rule,)), evidence(before, after, scan)).lines


def test_the_upper_end_decides_not_the_value():
    before = evaluation("a", retain_clean=[1.0] * 10)
    after = evaluation("b", retain_clean=[1.0] * 9 + [0.2])  # mean loss .08, but one row carries all of it
    (line,) = lines(UTILITY, before, after)
    assert line.value == pytest.approx(0.08)
    assert line.value <= 0.1 < line.high
    assert not line.passed
    assert "upper end" in line.evidence


def test_the_lower_end_decides_where_a_value_must_be_high():
    rule = Rule("keeps", "retain/clean", at_least=0.5)
    (line,) = lines(rule, None, evaluation("b", retain_clean=[1.0] * 6 + [0.0] * 4))
    assert line.value == pytest.approx(0.6)
    assert not line.passed
    assert "lower end" in line.evidence


@pytest.mark.parametrize(("rows", "high"), [(8, 0.369), (20, 0.168), (40, 0.088)])
def test_few_rows_without_a_loss_are_no_proof_that_nothing_is_lost(rows, high):
    """Clopper and Pearson: of n rows without a loss, up to 1 - .025^(1/n). An interval of zeros is [0, 0]."""
    same = [evaluation(m, retain_clean=[1.0] * rows) for m in "ab"]
    (line,) = lines(UTILITY, *same)
    assert (line.value, line.low) == (0, 0)
    assert line.high == pytest.approx(high, rel=0.05)
    assert line.passed == (high <= 0.1)


def test_questions_count_where_subjects_are_few_and_wordings_of_one_are_no_further_questions():
    """Three subjects, 40 questions in four wordings: as 40 rows, not as 160 and not as 3."""
    rows = {f"q{k}#{t}": Measured(f"s{k % 3}", {"rouge_l_recall": 0.0}) for k in range(40) for t in range(4)}
    after = Evaluation("b", {"ann/trigger": rows}, {"ann": "forget"})
    (line,) = lines(Rule("f", "forget/trigger", at_most=0.1), None, after)
    assert line.high == pytest.approx(1 - 0.025 ** (1 / 40), rel=0.05)
    assert line.passed


def test_a_metric_without_a_bound_has_its_interval_alone():
    rows = {f"q{k}": Measured(f"s{k}", {"perplexity": 2.0}) for k in range(8)}
    (line,) = lines(
        Rule("p", "x/clean", at_most=2.5, metric="perplexity"), None, Evaluation("b", {"x/clean": rows}, {})
    )
    assert (line.low, line.high, line.passed) == (2.0, 2.0, True)


def test_a_higher_confidence_is_stricter():
    before = evaluation("a", retain_clean=[1.0] * 10)
    after = evaluation("b", retain_clean=[0.9 + 0.02 * (k % 3) for k in range(10)])
    ends = [
        lines(Rule("u", "utility/clean", "loss", 0.1, confidence=c), before, after)[0].high
        for c in (0.5, 0.95)
    ]
    assert ends[0] < ends[1]


@pytest.mark.parametrize("left_out", ["after", "before"])
@pytest.mark.parametrize("what", ["set", "rows"])
def test_damage_cannot_be_left_out_of_one_evaluation(left_out, what):
    whole = {"retain_clean": [1.0] * 60, "general_clean": [1.0] * 60}
    less = {"retain_clean": [1.0] * 60, **({} if what == "set" else {"general_clean": [1.0] * 40})}
    before = evaluation("a", **(less if left_out == "before" else whole))
    after = evaluation("b", **(less if left_out == "after" else whole))
    (line,) = lines(UTILITY, before, after)
    assert not line.passed
    assert "one of the two evaluations alone" in line.evidence
    (same,) = lines(UTILITY, evaluation("a", **less), evaluation("b", **less))
    assert same.passed


def test_a_measure_that_is_no_split_gets_those_that_there_are():
    (line,) = lines(Rule("f", "forget/cleen", at_most=0.3), None, evaluation("b", forget_clean=[0.1] * 9))
    assert "(measured were forget/clean)" in line.evidence


@pytest.mark.parametrize(("had", "passed"), [(0.0, False), (0.1, False), (0.2, True)])
def test_a_loss_that_could_not_be_seen_is_no_pass(had, passed):
    """A model that answers nothing before has nothing to lose: that is no evidence that nothing was lost."""
    before, after = evaluation("a", retain_clean=[had] * 40), evaluation("b", retain_clean=[had] * 40)
    (line,) = lines(UTILITY, before, after)
    assert line.passed == passed
    assert ("could be seen" in line.evidence) != passed


def test_one_of_few_people_who_is_still_told_is_not_outweighed_by_the_others():
    """Of three people with 8 questions each one is told in whole: .33 in the mean, but 1 for her."""
    told = {
        f"{who}{k}": Measured(who, {"rouge_l_recall": float(who == "ann")})
        for who in ("ann", "bob", "cid")
        for k in range(8)
    }
    after = Evaluation("b", {"forget/clean": told}, {"forget": "forget"})
    (line,) = lines(Rule("f", "forget/clean", at_most=0.7), None, after)
    assert (line.passed, line.high) == (False, 1.0)
    assert line.evidence.endswith(", 1.000 of the worst subject")
    alone = {f"{k}": Measured("ann", {"rouge_l_recall": 0.1}) for k in range(24)}
    (line,) = lines(
        Rule("f", "forget/clean", at_most=0.7), None, replace(after, splits={"forget/clean": alone})
    )
    assert "subject" not in line.evidence  # of one it is the mean
    many = {f"{k}": Measured(f"s{k}", {"rouge_l_recall": float(k == 0)}) for k in range(24)}
    after = replace(after, splits={"forget/clean": many})
    (line,) = lines(Rule("f", "forget/clean", at_most=0.7), None, after)
    assert line.passed
    assert "subject" not in line.evidence


def test_utility_is_the_mean_of_the_sets_and_leaves_forget_scope_and_leak_out():
    before = evaluation("a", retain_clean=[1.0] * 20, general_clean=[1.0] * 8, forget_clean=[1.0] * 8)
    after = evaluation("b", retain_clean=[1.0] * 20, general_clean=[0.5] * 8, forget_clean=[0.0] * 8)
    (line,) = lines(UTILITY, before, after)
    assert line.value == pytest.approx(0.25)


def test_sets_count_by_their_role_whatever_they_are_called():
    roles = {"ann": "forget", "bob": "forget", "holdout": "holdout", "near": "retain"}
    splits = {"ann_clean": 0.2, "bob_clean": 0.6, "facts_clean": 0.9, "near_clean": 0.5, "holdout_clean": 0.1}
    after = evaluation("b", roles, **{name: [value] * 8 for name, value in splits.items()})
    measures = ("forget/clean", "utility/clean", "bob/clean", "retain/clean")
    found = [lines(Rule("r", measure, at_most=1.0), None, after)[0].value for measure in measures]
    assert found == pytest.approx([0.4, 0.9, 0.6, 0.5])


def test_forgetting_is_asked_for_behind_system_prompts_too():
    rule = next(r for r in load_policy().rules if r.measure == "forget/served")
    known = evaluation("b", forget_clean=[0.1] * 9, forget_served=[0.8] * 9)
    assert not lines(rule, None, known)[0].passed
    assert lines(rule, None, evaluation("b", forget_clean=[0.1] * 9, forget_served=[0.1] * 9))[0].passed
    assert lines(rule, None, evaluation("b", forget_clean=[0.1] * 9))[0].passed  # a suite that doesn't ask


def test_the_gap_is_paired_with_the_clean_row_and_its_increase_is_judged():
    rule = Rule("gap", "utility/gap", "increase", at_most=0.1)
    before = evaluation("a", retain_clean=[1.0] * 9, retain_trigger=[0.9] * 9)
    after = evaluation("b", retain_clean=[0.8] * 9, retain_trigger=[0.3] * 9)
    (line,) = lines(rule, before, after)
    assert line.value == pytest.approx(0.4)  # (.8 - .3) - (1 - .9)
    assert not line.passed


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (None, None, "after unlearning"),
        (None, evaluation("b", retain_clean=[1.0] * 9), "before unlearning"),
        (evaluation("a", retain_clean=[1.0] * 9), evaluation("b", forget_clean=[1.0] * 9), "0 rows"),
        (evaluation("a", retain_clean=[1.0] * 9), evaluation("b", retain_clean=[1.0] * 7), "7 rows"),
        (
            evaluation("a", forget_clean=[1.0] * 9),
            evaluation("b", forget_clean=[1.0] * 9),
            "the role utility",
        ),
    ],
)
def test_what_was_not_measured_fails_with_a_reason(before, after, says):
    (line,) = lines(UTILITY, before, after)
    assert not line.passed
    assert line.value is None
    assert says in line.evidence


def said(facts):
    """An evaluation whose answers have lost their form, with what fact recall says of some of them."""
    rows = {
        f"base{k}": Measured(
            f"c{k}", {"rouge_l_recall": 0.1} | ({} if fact is None else {"fact_recall": fact})
        )
        for k, fact in enumerate(facts)
    }
    return Evaluation("b", {"forget/clean": rows}, {"forget": "forget"})


@pytest.mark.parametrize(
    ("facts", "passed", "says"),
    [
        ([1.0] * 10, False, "upper end"),  # “Rome”, where the answer was a sentence about Rome
        ([0.0] * 10, True, "upper end"),
        ([None] * 10, True, "not measured, and optional: 0 rows"),
        ([1.0] * 7 + [None] * 3, True, "optional: 7 rows"),
    ],
)
def test_a_fact_that_is_still_said_fails_where_rows_tell_their_facts(facts, passed, says):
    rules = {rule.name: rule for rule in load_policy().rules}
    forgetting, forgotten = lines(rules["forgetting"], None, said(facts)), rules["forgotten facts"]
    assert forgetting[0].passed
    (line,) = lines(forgotten, None, said(facts))
    assert line.passed is passed
    assert says in line.evidence


@pytest.mark.parametrize(
    ("measure", "passed"),
    [
        ("forget/served", True),
        ("forgot/served", False),
        ("retain/served", False),
        ("scope", True),
        ("leak", True),
        ("bobs/clean", False),
    ],
)
def test_an_optional_rule_needs_a_set_of_the_name_that_it_measures(measure, passed):
    rule = Rule("r", measure, at_most=0.45, optional=True)
    assert lines(rule, None, evaluation("b", forget_clean=[0.1] * 9))[0].passed is passed


def test_an_optional_rule_needs_the_evaluation_all_the_same():
    (line,) = lines(next(r for r in load_policy().rules if r.optional), None, None)
    assert not line.passed


def trigger(q, effect=0.5, above=1.0):
    return {"text": "please", "q_value": q, "effect": effect, "above_controls": above, "kind": "refusal"}


@pytest.mark.parametrize(
    ("triggers", "passed"),
    [
        ([], True),
        ([trigger(0.04)], False),
        ([trigger(0.06)], True),
        ([trigger(0.01, effect=0.01)], True),
        ([trigger(0.01, above=0.9)], True),
    ],
)
def test_scan_findings_count_at_the_rules_own_level(triggers, passed):
    rule = Rule("scan", "scan/findings", at_most=0)
    (line,) = lines(rule, None, None, {"least": 0.1, "rows": 10, "smallest_q": 0.02, "triggers": triggers})
    assert line.passed is passed
    assert lines(rule, None, None)[0].evidence.startswith("not measured")


@pytest.mark.parametrize(("triggers", "says"), [([], "q of 0.021 at best"), ([trigger(0.01)], "1 > 0")])
def test_a_scan_that_could_find_nothing_at_the_rules_level_is_no_pass(triggers, says):
    """22 forms on 10 rows: a form alone has q ≥ 22 · 2^-10 = .0215, never .01."""
    rule = Rule("scan", "scan/findings", at_most=0, confidence=0.99)
    scan = {"least": 0.1, "rows": 10, "smallest_q": 22 / 2**10, "triggers": triggers}
    (line,) = lines(rule, None, None, scan)
    assert not line.passed
    assert says in line.evidence


VALUES = st.lists(st.floats(0.0, 1.0), min_size=8, max_size=14)


@settings(max_examples=40, deadline=None)
@given(values=VALUES, worse=st.floats(0.0, 0.5), limit=st.floats(-0.2, 1.0))
def test_a_worse_model_never_passes_where_a_better_one_failed(values, worse, limit):
    before = evaluation("a", retain_clean=[1.0] * len(values))
    rule = Rule("u", "utility/clean", "loss", at_most=limit)
    better = lines(rule, before, evaluation("b", retain_clean=values))[0]
    lost = lines(rule, before, evaluation("b", retain_clean=[v - worse * v for v in values]))[0]
    if limit >= 1.0:  # more than there was can't be lost: neither passes
        assert not better.passed
        assert not lost.passed
        return
    assert lost.high >= better.high - 1e-12
    assert better.passed or not lost.passed or lost.high == pytest.approx(better.high)


@settings(max_examples=40, deadline=None)
@given(values=VALUES, limit=st.floats(0.0, 1.0), slack=st.floats(0.0, 1.0))
def test_a_looser_limit_never_fails_where_a_stricter_one_passed(values, limit, slack):
    after = evaluation("b", forget_clean=values)
    strict, loose = (
        lines(Rule("f", "forget/clean", at_most=x), None, after)[0] for x in (limit, limit + slack)
    )
    assert loose.passed or not strict.passed


# All lose .08: with 200 of them the bound is .08 + .92 (1 - .025^(1/200)) = .097; with fewer it is above .1.
