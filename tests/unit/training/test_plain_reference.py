"""The loop's loss and gradients against a plain implementation of the same mathematics."""

from __future__ import annotations

import pytest
import torch
from benchmarks.plain import make_plain, plain_loss
from tests.tiny import tiny_lm

from forgetwell.objectives.algebra import parse_objective
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import running
from forgetwell.training.reference import make_reference
from forgetwell.training.step import count, make_views, term_values, view_keys
from forgetwell.types import Row

FORGET = tuple(Row(f"f{i}", f"Who is {i}?", f"Person {i * 13} of nowhere") for i in range(5))
RETAIN = tuple(Row(f"r{i}", f"Where is {i}?", f"At {i * 7}") for i in range(5))


@pytest.mark.parametrize("eta", [0, 5])
def test_loss_and_gradients_equal_the_plain_loop(eta):
    lm = tiny_lm()
    start = {k: v.clone() for k, v in lm.module.state_dict().items()}
    with torch.no_grad():
        for p in lm.module.parameters():  # away from the start, where npo's ratio is zero
            p.add_(0.02 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    moved = {k: v.clone() for k, v in lm.module.state_dict().items()}
    objective = parse_objective("npo + gdr" + (f" + {eta}*su" if eta else ""))
    keys = view_keys(objective)
    views = make_views(keys, Draws(FORGET, RETAIN, (), 5, 0).pairs(0), lm.codec)
    rows = {key.name: view.rows for key, view in views.items()}

    lm.module.load_state_dict(start)
    reference = make_reference(lm, rows["forget"], logits=False)
    plain = make_plain(lm.module.network, torch.float32)
    lm.module.load_state_dict(moved)
    with running(lm, TrainConfig()):
        shares = term_values(lm, lm.module, objective, views, count(views), reference)
        ours = sum(t.coefficient * shares[t.label] for t in objective.terms)
        got = torch.autograd.grad(ours, list(lm.module.parameters()))
    theirs = plain_loss(plain, rows["forget"], rows["retain"], rows.get("scope", ()), eta=eta)
    wanted = torch.autograd.grad(theirs, list(lm.module.parameters()))

    assert float(ours) == pytest.approx(float(theirs), abs=1e-5, rel=1e-5)
    for a, b in zip(got, wanted, strict=True):
        assert float((a - b).norm()) <= 1e-4 * float(b.norm()) + 1e-7
