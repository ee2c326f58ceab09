"""Every registered request attack, whoever wrote it."""

import pytest

from forgetwell.requests.attacks import ATTACKS, attack_request
from forgetwell.types import Request, Row

REQUEST = Request("q", tuple(Row(f"f{i}", f"Where does F{i} live?", f"In town {i}.") for i in range(12)))


@pytest.mark.parametrize("name", ATTACKS.names())
class TestAttack:
    def test_it_is_noted_in_the_history(self, name):
        assert attack_request(REQUEST, name, seed=3).history[-1].startswith(name)
