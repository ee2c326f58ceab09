import contextlib
import keyword
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetwell.calls import Call, parse_call, parse_sum
from forgetwell.errors import InputError, UnknownName
from forgetwell.objectives.algebra import parse_objective


def test_objective_as_papers_write_it():
    objective = parse_objective("npo(beta=0.2)+gdr + 5*su(order=retain_first)")
    assert objective.text == "npo(beta=0.2) + gdr + 5*su(order=retain_first)"
    assert [t.coefficient for t in objective.terms] == [1, 1, 5]
    assert objective.terms[0].hyperparameters == {"beta": 0.2, "unwanted": "focus"}
    assert objective.terms[0].views == ("forget",)
    assert objective.terms[0].references == ("forget",)


def test_zero_coefficient_removes_the_term():
    assert parse_objective("npo + gdr + 0*su") == parse_objective("npo + gdr")
    assert parse_objective("npo + gdr + 0*linear*su") == parse_objective("npo + gdr")


def test_weights_may_have_a_schedule():
    text = "npo + cosine(start=2, end=0)*gdr + 5*linear(until=0.5)*su"
    objective = parse_objective(text)
    assert objective.text == text
    # half-way to .5: 5/2; from there on 5. A quarter of a half cosine from 2 to 0: 1 + cos(π/4)
    assert [objective.terms[2].weight(p) for p in (0.25, 0.5, 1)] == [2.5, 5, 5]
    assert objective.terms[1].weight(0.125) == pytest.approx(1 + math.cos(math.pi / 4))
    assert [objective.terms[1].weight(p) for p in (0.25, 1)] == pytest.approx([1, 0])


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("gd", InputError, "ga [+] gdr"),
        ("npoo", UnknownName, "'npo'"),
        ("npo(bta=1)", UnknownName, "'beta'"),
        ("npo(beta='x')", InputError, "expected float"),
        ("npo(beta=0) + gdr", InputError, "npo was given beta=0; it must be above 0"),
        ("idk + ap(beta=-1)", InputError, "above 0"),
        ("su(order=sideways)", InputError, "sideways"),
        ("npo - gdr", InputError, "\\^"),
        ("-1*npo", InputError, "number"),
        ("__import__('os').system('ls')", InputError, "name"),
        ("npo(**x)", InputError, "key=value"),
        ("0*npo", InputError, "no term left"),
        ("npo + npo", InputError, "twice"),
        ("npo, gdr", InputError, "several as --metrics a b, and terms of a sum as a [+] b"),
        ("npo + rise*su", UnknownName, "No schedule is named 'rise'"),
        ("npo + linear(until=2)*su", InputError, "until=2"),
        ("npo + cosine(start=-1)*su", InputError, "start=-1"),
        ("npo + linear*5*su", InputError, "number"),
        ("npo + 2*3*su", InputError, "name"),
        ("", InputError, "expression"),
        ("(" * 9000, InputError, "expression"),
    ],
)
def test_wrong_objectives_say_what_to_do(text, error, says):
    with pytest.raises(error, match=says):
        parse_objective(text)


words = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda w: w.isidentifier())
values = st.one_of(
    st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20), st.booleans()
)


@given(words, st.dictionaries(words, values, max_size=3))
def test_a_call_reads_back_as_written(name, arguments):
    if keyword.iskeyword(name) or any(keyword.iskeyword(k) for k in arguments):
        return
    call = Call(name, arguments)
    assert parse_call(str(call)) == call


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_plainly(text):
    with contextlib.suppress(InputError):
        parse_sum(text)
