import pytest
from tests.tiny import tiny_lm

from forgetwell.errors import InputError
from forgetwell.methods.alternates import add_alternates
from forgetwell.types import Row

ROWS = (
    Row("a", "Who?", "A spy"),
    Row("b", "Where is that?", "In town", wrong=("At sea", "In a wood")),
    Row("c", "What?", "A pie", wrong=("A cake",)),
)
SHORT = {"count": 2, "max_new_tokens": 4}


def test_what_a_requester_wrote_is_left_out_and_written_anew():
    brought = (*ROWS, Row("d", "Why?", "For fun", wrong=("For all",), focus=("for",)))
    found = add_alternates(tiny_lm(), brought, **SHORT)
    assert all(len(set(r.wrong)) == len(r.wrong) == 2 for r in found)
    assert all(set(r.wrong).isdisjoint(b.wrong) and not r.focus for r, b in zip(found, brought, strict=True))
    assert all(r.answer not in r.wrong and "" not in r.wrong for r in found)


def test_what_is_trusted_stays_and_only_what_is_missing_is_written():
    found = add_alternates(tiny_lm(), ROWS, trust=True, **SHORT)
    assert all(len(set(r.wrong)) == len(r.wrong) == 2 for r in found)
    assert found[1] == ROWS[1]
    assert found[2].wrong[0] == "A cake"


def test_a_rows_alternatives_depend_on_its_id_and_the_seed_alone():
    together = add_alternates(tiny_lm(), ROWS, **SHORT)
    assert add_alternates(tiny_lm(), ROWS[::-1], **SHORT)[::-1] == together
    assert add_alternates(tiny_lm(), ROWS[:1], **SHORT) == together[:1]
    assert add_alternates(tiny_lm(), ROWS, seed=1, **SHORT) != together


def test_sampling_follows_the_models_probabilities():
    lm, row = tiny_lm(), Row("a", "Who?", "A spy")
    cold = lm.sample([row] * 3, max_new_tokens=3, seeds=[0, 1, 2], temperature=1e-4)
    (greedy,) = lm.generate([row], max_new_tokens=3)
    assert cold == [greedy.text] * 3
    warm = lm.sample([row] * 8, max_new_tokens=3, seeds=range(8), temperature=1.0)
    assert len(set(warm)) > 1
    with pytest.raises(InputError, match="seed for each"):
        lm.sample([row], max_new_tokens=3, seeds=[])


def test_plain_text_is_refused():
    with pytest.raises(InputError, match="plain text"):
        add_alternates(tiny_lm(), [Row("t", "", "Once upon", text=True)], **SHORT)
