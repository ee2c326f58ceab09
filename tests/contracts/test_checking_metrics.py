"""`forgetwell check` on metrics: faults are seen and named."""

from __future__ import annotations

import pytest
from tests.contracts.test_checking import problems

from forgetwell.cli.listing import card
from forgetwell.errors import InputError
from forgetwell.metrics.registry import CURVE_METRICS, ROW_METRICS, curve_metric, row_metric
from forgetwell.metrics.sets import SET_METRICS, Read, set_metric
from forgetwell.suites.plan import metric_item

pytestmark = pytest.mark.usefixtures("families")


def metric(value, **facts):
    def mine(generated):
        """A metric."""
        return value(generated.text)

    row_metric(**{"better": "high", "meaning": "It.", "paper": "", **facts})(mine)
    return ROW_METRICS.get("mine")


def test_faults_of_metrics_are_seen():
    assert problems(metric(lambda text: float("Oslo" in text))) == {}
    (problem,) = problems(metric(lambda text: float(len(text)))).values()
    assert "Its range is 0.0 to 1.0, and it returned 21.0" in problem
    (problem,) = problems(metric(lambda text: None)).values()
    assert "returned None for each" in problem
    found = problems(metric(lambda text: 1 / len(text), range=(0, None)))  # on an empty answer
    assert len(found) == 3
    assert all("It raised ZeroDivisionError" in problem for problem in found.values())


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"better": "higher"}, "better='higher'; it is one of 'high', 'low', 'none'."),
        ({"better": "none", "kept": "more"}, "kept='more'; it is one of 'high', 'low', 'none'."),
        ({"meaning": "Words said"}, "meaning='Words said'; it is a sentence, with its full stop."),
        (
            {"range": (1.0, 0.0)},
            "range=(1.0, 0.0); it holds the lowest and the highest value, None = unbounded.",
        ),
        ({"needs": ("entropy",)}, "needs=('entropy',); known: 'moments'."),
    ],
)
def test_faults_of_a_metric_s_decorator_are_seen(facts, says):
    assert says in problems(metric(lambda text: None, **facts)).values()
    if not {"needs", "kept"} & facts.keys():  # of row metrics alone
        assert says in problems(whole(lambda values: 0.5, **facts)).values()


def test_a_metric_reads_parts_of_records():
    def mine(answers):
        """A metric."""
        return 0.5

    row_metric(better="high", meaning="It.", paper="")(mine)
    found = problems(ROW_METRICS.get("mine")).values()
    assert any(text.startswith("No record has answers; parts are row, answer, paraphrase") for text in found)


def whole(value, reads=("values",), **facts):
    def mine(values):
        """A metric."""
        return value(values)

    read = {name: Read("rouge_l_recall", "forget/clean") for name in reads}
    set_metric(**{"better": "high", "meaning": "It.", "paper": "", "reads": read, **facts})(mine)
    return SET_METRICS.get("mine")


def test_faults_of_set_metrics_are_seen():
    assert problems(whole(lambda values: values.mean())) == {}
    (problem,) = problems(whole(lambda values: values.sum())).values()
    assert problem == "Its range is 0.0 to 1.0, and it returned 2.0 for values all highest, 2 rows a set."
    found = problems(whole(lambda values: values.sort() or 1.0))
    assert all("read-only" in problem for problem in found.values())
    (problem,) = problems(whole(lambda values: float("nan"))).values()
    assert "returned nan" in problem
    assert any("`reads` has ('other',)" in p for p in problems(whole(len, reads=("other",))).values())


def test_faults_of_curve_metrics_are_seen():
    def mine(curve):
        """A metric."""
        return 10 * curve[0]

    curve_metric(better="high", meaning="It.", paper="")(mine)
    (problem,) = problems(CURVE_METRICS.get("mine")).values()
    assert problem == "Its range is 0.0 to 1.0, and it returned 9.0 for curves as (0.9, 0.6, 0.3, 0.0)."

    def mine(curve):
        """A metric."""
        curve.sort()
        return curve[0]

    curve_metric(better="high", meaning="It.", paper="")(mine)
    (problem,) = problems(CURVE_METRICS.get("mine")).values()
    assert problem.startswith("It changed [0.9, 0.6, 0.3, 0.0] in place")


def test_a_curve_metric_of_any_parameters_is_shown_and_no_evaluation_has_curves():
    def mine(curve):
        """A metric."""
        return curve[0]

    curve_metric(better="high", meaning="It.", paper="")(mine)
    assert "reads: curve\n" in card(CURVE_METRICS.get("mine"))
    with pytest.raises(InputError, match="mine is a metric of training curves, and an evaluation has none"):
        metric_item("mine")
