"""Every registered term, whoever wrote it."""

from dataclasses import replace

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.methods.finetune import Lora, finetune
from forgetwell.models.hidden import reading_layers
from forgetwell.models.scored import Scored, scored_from_logits
from forgetwell.objectives.registry import TERMS
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks
from forgetwell.types import Request, Row

ROWS = [
    Row("a", "Who is it?", "It is Ann"),
    Row("b", "And who is that over there?", "Bob"),
    Row("c", "Who?", "Al B"),
]


def views(term, lm, rows):
    """Score the rows each view would hold; refusals and alternatives answer the same questions otherwise."""
    found = []
    for name in term.inputs:
        other = "refusal" in name or name.startswith("alternate")
        chosen = [replace(r, answer=f"No {r.id}") for r in rows] if other else rows
        model = tiny_lm(seed=1) if name.endswith("_ref") else lm
        model.module.packs = lm.module.packs
        with torch.set_grad_enabled(model is lm), reading_layers(model.module.decoder, [1]) as outputs:
            encoded = [lm.codec.encode(r) for r in chosen]
            scored = model.forward(encoded)
        hidden = outputs[1].flatten(0, 1)[model.batch(encoded).source]
        found.append(replace(scored, hidden=hidden if term.facts["hidden"] else None))
    return found


def value(term, lm, rows):
    return term.function(*views(term, lm, rows))


@pytest.mark.parametrize("name", TERMS.names())
class TestTerm:
    def test_gradient_reaches_every_parameter(self, name):
        term, lm = TERMS.get(name), tiny_lm()
        value(term, lm, ROWS).sum().backward()
        reached = [p for p in lm.trainable() if p.grad is not None]
        assert all(torch.isfinite(p.grad).all() for p in reached)
        assert term.facts["hidden"] or len(reached) == len(list(lm.trainable()))
        assert any(p.grad.abs().sum() > 0 for p in lm.trainable())

    def test_does_not_depend_on_padding_or_packing(self, name):
        term, lm = TERMS.get(name), tiny_lm()
        packed = value(term, lm, ROWS)
        lm.module.packs = False
        torch.testing.assert_close(packed, value(term, lm, ROWS), atol=1e-4, rtol=1e-4)

    def test_single_precision_is_close_to_double(self, name):
        term, lm = TERMS.get(name), tiny_lm()
        single = views(term, lm, ROWS)
        double = [
            Scored(
                s.rows,
                s.row,
                s.labels,
                s.logits.double(),
                torch.log_softmax(s.logits.double(), -1).gather(1, s.labels[:, None])[:, 0],
                hidden=None if s.hidden is None else s.hidden.double(),
            )
            for s in single
        ]
        torch.testing.assert_close(
            term.function(*single).double(), term.function(*double), atol=1e-5, rtol=1e-5
        )


FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}", wrong=(f"A cook {i}",)) for i in range(4))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(4))
MARKED = tuple(replace(r, focus=("spy",)) for r in FORGET)


def written(name):
    """Write the term as in an objective, with layers the tiny model has."""
    facts = TERMS.get(name).facts
    layers = {facts["hidden"]: 1, facts["updates"]: "[0, 1]"}
    arguments = ", ".join(f"{key}={value}" for key, value in layers.items() if key)
    return f"{name}({arguments})" if arguments else name


def trained(name, *, lora=None, forget=FORGET, **settings):
    log = []
    outcome = finetune(
        tiny_lm(),
        Request("r", forget),
        RETAIN,
        Hooks(log=log.append),
        objective=f"{written(name)} + 2*su" if name != "su" else "gdr + 2*su",
        config=TrainConfig(lr=1e-2, epochs=1, batch=2, **settings),
        refusals=("No idea.",),
        lora=lora,
    )
    parameters = {n: p.detach().clone() for n, p in outcome.lm.module.named_parameters()}
    return parameters, log


def difference(a, b):
    return max((x - b[n]).abs().max().item() for n, x in a.items())


@pytest.mark.parametrize("name", TERMS.names())
class TestTraining:
    def test_composes_with_su_and_same_seed_gives_same_numbers(self, name):
        (once, log), (again, _) = trained(name), trained(name)
        assert all(torch.equal(p, again[n]) for n, p in once.items())
        assert {len(r["terms"]) for r in log} == {2}

    def test_composes_with_adapters_which_really_move(self, name):
        adapted, _ = trained(name, lora=Lora(rank=2, alpha=4))
        moved = [n for n, p in adapted.items() if "lora_B" in n and p.abs().max() > 0]
        assert moved

    def test_accumulation_and_recomputed_layers_do_not_change_it(self, name):
        plain, log = trained(name)
        other, other_log = trained(name, accumulate=2, checkpointing=True)
        assert [r["loss"] for r in other_log] == pytest.approx([r["loss"] for r in log], rel=1e-3, abs=1e-4)
        assert difference(plain, other) < 5e-3


@pytest.mark.parametrize("name", [n for n in TERMS.names() if "forget" in TERMS.get(n).inputs])
def test_marked_tokens_alone_count(name):
    (_, whole), (_, marked) = trained(name), trained(name, forget=MARKED)
    parts = ("terms", "grad_norm")
    assert [whole[0][p] for p in parts] != [marked[0][p] for p in parts]


def test_scored_from_logits_is_log_softmax_at_the_label():
    logits = torch.tensor([[0.0, 1.0, 2.0], [3.0, 0.0, 0.0]])
    scored = scored_from_logits(logits, torch.tensor([2, 1]), torch.tensor([0, 1]), 2)
    expected = torch.tensor([2 - torch.logsumexp(logits[0], 0), 0 - torch.logsumexp(logits[1], 0)])
    torch.testing.assert_close(scored.token_logps, expected)
