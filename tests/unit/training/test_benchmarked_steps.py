"""Benchmarks reach into the training loop; they shall go on to run when it changes."""

import pytest
from benchmarks.shared import our_steps
from benchmarks.variants import autograd_steps, master_steps
from tests.tiny import tiny_lm

from forgetwell.objectives.algebra import parse_objective
from forgetwell.training.draws import Draws
from forgetwell.types import Row

OBJECTIVE = parse_objective("npo + gdr")
FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(4))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(4))


def losses(steps):
    return list(steps(tiny_lm(), OBJECTIVE, Draws(FORGET, RETAIN, (), 2, 0), 3))


@pytest.mark.parametrize("variant", [autograd_steps, master_steps])
def test_variants_of_a_step_lose_what_the_loop_loses(variant):
    assert losses(variant) == pytest.approx(losses(our_steps), abs=1e-5)
