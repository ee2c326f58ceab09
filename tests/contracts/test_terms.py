"""Every registered term, whoever wrote it."""

from dataclasses import replace

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.models.scored import Scored, scored_from_logits
from forgetwell.objectives.registry import TERMS
from forgetwell.types import Row

ROWS = [
    Row("a", "Who is it?", "It is Ann"),
    Row("b", "And who is that over there?", "Bob"),
    Row("c", "Who?", "Al B"),
]


def views(term, lm, rows):
    """Score the rows each view would hold; refusals answer the same questions otherwise."""
    found = []
    for name in term.inputs:
        chosen = [replace(r, answer=f"No {r.id}") for r in rows] if name.startswith("refusal") else rows
        model = tiny_lm(seed=1) if name.endswith("_ref") else lm
        with torch.set_grad_enabled(model is lm):
            found.append(model.forward([lm.codec.encode(r) for r in chosen]))
    return found


def value(term, lm, rows):
    return term.function(*views(term, lm, rows))


@pytest.mark.parametrize("name", TERMS.names())
class TestTerm:
    def test_is_finite_and_has_the_declared_shape(self, name):
        term, lm = TERMS.get(name), tiny_lm()
        scored = views(term, lm, ROWS)[0]
        out = term.function(*views(term, lm, ROWS))
        expected = len(scored.row) if term.facts["per"] == "token" else scored.rows
        assert out.shape == (expected,)
        assert torch.isfinite(out).all()

    def test_gradient_reaches_every_parameter(self, name):
        term, lm = TERMS.get(name), tiny_lm()
        value(term, lm, ROWS).sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in lm.trainable())
        assert any(p.grad.abs().sum() > 0 for p in lm.trainable())

    def test_does_not_depend_on_padding_or_packing(self, name):
        term, lm = TERMS.get(name), tiny_lm()
        packed = value(term, lm, ROWS)
        lm.module.packs = False
        torch.testing.assert_close(packed, value(term, lm, ROWS), atol=1e-4, rtol=1e-4)

    def test_does_not_depend_on_the_order_of_rows(self, name):
        term, lm = TERMS.get(name), tiny_lm()
        there, back = value(term, lm, ROWS).sum(), value(term, lm, ROWS[::-1]).sum()
        torch.testing.assert_close(there, back, atol=1e-4, rtol=1e-4)

    def test_does_not_depend_on_the_batch(self, name):
        term, lm = TERMS.get(name), tiny_lm()
        alone = torch.cat([value(term, lm, [row]) for row in ROWS])
        torch.testing.assert_close(alone, value(term, lm, ROWS), atol=1e-4, rtol=1e-4)

    def test_is_documented_with_source_and_defaults(self, name):
        term = TERMS.get(name)
        assert term.summary
        assert term.summary.endswith((".", ":"))
        assert "Source:" in term.function.__doc__
        assert term.facts["paper"] in term.function.__doc__
        assert all(not h.required for h in term.hyperparameters.values())

    def test_agrees_in_float64(self, name):
        term, lm = TERMS.get(name), tiny_lm()
        single = views(term, lm, ROWS)
        double = [
            Scored(
                s.rows,
                s.row,
                s.labels,
                s.logits.double(),
                torch.log_softmax(s.logits.double(), -1).gather(1, s.labels[:, None])[:, 0],
            )
            for s in single
        ]
        torch.testing.assert_close(
            term.function(*single).double(), term.function(*double), atol=1e-5, rtol=1e-5
        )


def test_scored_from_logits_is_log_softmax_at_the_label():
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    scored = scored_from_logits(logits, torch.tensor([2, 1]), torch.tensor([0, 1]), 2)
    expected = torch.tensor([2 - torch.logsumexp(logits[0], 0), 0 - torch.logsumexp(logits[1], 0)])
    torch.testing.assert_close(scored.token_logps, expected)
