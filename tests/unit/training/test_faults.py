"""Faults found in other implementations of these objectives; ours is tested not to have them."""

from dataclasses import replace

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.objectives.algebra import parse_objective
from forgetwell.objectives.registry import TERMS
from forgetwell.training.config import TrainConfig
from forgetwell.training.draws import Draws
from forgetwell.training.loop import Hooks, train
from forgetwell.training.reference import make_reference
from forgetwell.training.step import count, make_views, term_values, view_keys
from forgetwell.types import Row

FORGET = (Row("f0", "Who?", "A spy"), Row("f1", "And who is that over there?", "Somebody of no importance"))
RETAIN = (Row("r0", "Where?", "In town"), Row("r1", "Where is that other one?", "At sea, or so they say"))
DRAWS = Draws(FORGET, RETAIN, ("No idea.",), batch=2, seed=0)


def value(lm, text, forget=FORGET, layers=()):
    """Return the value of an objective's first term on these rows, against the model itself as start."""
    objective = parse_objective(text)
    pairs = [p for k in range(len(forget)) for p in replace(DRAWS, forget=forget, batch=1).pairs(k)]
    views = make_views(view_keys(objective), pairs, lm.codec)
    rows = [r for v in views.values() for r in v.rows]
    reference = make_reference(lm, rows, logits=True, layers=layers)
    shares = term_values(lm, lm.module, objective, views, count(views), reference)
    return float(next(iter(shares.values())))


def by_hand(lm, row):
    """Return (logits that predict the answer's tokens, those tokens), by transformers alone."""
    encoded = lm.codec.encode(row)
    with torch.no_grad():
        logits = lm.module.network(torch.tensor([encoded.ids])).logits[0].double()
    return logits[encoded.start - 1 : -1], torch.tensor(encoded.ids[encoded.start :])


def test_pdu_scores_the_token_that_predicts_the_answers_first_and_none_after_its_last():
    lm, values = tiny_lm(), []
    for row in FORGET:
        logits, _ = by_hand(lm, row)
        values += ((logits.max(-1).values - logits.mean(-1)) ** 2).tolist()
    assert value(lm, "pdu") == pytest.approx(sum(values) / len(values), rel=1e-4)


def test_undial_lowers_no_token_at_prompt_or_padding_and_means_over_answers_alone():
    lm, values = tiny_lm(), []
    for row in FORGET:  # of different lengths, so that padding would count
        logits, labels = by_hand(lm, row)
        lowered = logits.clone()
        lowered[range(len(labels)), labels] -= 10
        values += (-(lowered.softmax(-1) * logits.log_softmax(-1)).sum(-1)).tolist()
    lm.module.packs = False
    assert value(lm, "undial") == pytest.approx(sum(values) / len(values), rel=1e-4)


def test_rmu_of_rows_of_different_lengths_is_the_mean_of_each_alone():
    lm, text = tiny_lm(), "rmu(layer=0, update=[])"
    alone = [value(lm, text, (row,)) for row in FORGET]
    assert value(lm, text) == pytest.approx(sum(alone) / 2, rel=1e-5)


@pytest.mark.parametrize("name", ["ga", "wga", "satimp", "simnpo", "ceu", "me", "pdu", "flat", "ap", "rmu"])
def test_no_starting_model_is_asked_where_the_loss_has_none(name, monkeypatch):
    term = TERMS.get(name)
    assert not any(i.endswith("_ref") for i in term.inputs)
    lm = tiny_lm()
    monkeypatch.setattr(type(lm.module), "hidden", lambda self, batch: pytest.fail("scored a row"))
    reference = make_reference(lm, [], logits=False)
    assert reference.head is None


def test_a_term_of_weight_zero_runs_no_pass():
    assert [k.name for k in view_keys(parse_objective("undial + 0*gdr"))] == ["forget"]


@pytest.mark.parametrize(
    "objective",
    [
        "ga + klr",
        "npo + klr + ap",
        "rmu(layer=1, update=[1]) + rmu_retain(layer=1)",
        "rmu(layer=1, update=[1]) + rmu_retain(layer=1) + klr",
    ],
)
def test_the_live_model_runs_once_a_step_for_all_terms(objective):
    lm, runs = tiny_lm(), []
    lm.module.network.model.register_forward_hook(lambda *_: runs.append(1))
    train(lm, parse_objective(objective), DRAWS, TrainConfig(max_steps=1), Hooks())
    reference = int(any("_ref" in i for t in parse_objective(objective).terms for i in t.item.inputs))
    assert len(runs) == 1 + reference


def test_dropout_is_off_in_the_loss_and_in_the_starting_models_values():
    lm = tiny_lm()
    for layer in lm.module.network.model.layers:
        layer.self_attn.attention_dropout = 0.9
    log = []
    train(lm, parse_objective("klr"), DRAWS, TrainConfig(max_steps=1), Hooks(log=log.append))
    assert log[0]["terms"]["klr"] == pytest.approx(0, abs=1e-6)
