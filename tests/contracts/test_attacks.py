"""Every registered request attack, whoever wrote it."""

import pytest

from forgetwell.requests.attacks import ATTACKS, attack_request
from forgetwell.types import Request, Row

REQUEST = Request("q", tuple(Row(f"f{i}", f"Where does F{i} live?", f"In town {i}.") for i in range(12)))


@pytest.mark.parametrize("name", ATTACKS.names())
class TestAttack:
    def test_the_request_given_is_unchanged_and_the_rows_stay_in_place(self, name):
        before = REQUEST.rows
        attacked = attack_request(REQUEST, name, seed=3)
        assert REQUEST.rows == before
        assert [r.id for r in attacked.rows] == [r.id for r in before]

    def test_a_seed_reproduces_it(self, name):
        assert attack_request(REQUEST, name, seed=3) == attack_request(REQUEST, name, seed=3)

    def test_every_changed_row_records_what_it_was(self, name):
        for old, new in zip(REQUEST.rows, attack_request(REQUEST, name, seed=3).rows, strict=True):
            if new == old:
                continue
            assert (new.edit.by, new.edit.prompt, new.edit.answer) == (name, old.prompt, old.answer)

    def test_it_is_noted_in_the_history(self, name):
        assert attack_request(REQUEST, name, seed=3).history[-1].startswith(name)

    def test_is_documented_with_source_and_defaults(self, name):
        item = ATTACKS.get(name)
        assert item.summary
        assert "Source:" in item.function.__doc__
        assert item.facts["paper"] in item.function.__doc__
        assert all(not h.required for h in item.hyperparameters.values())
