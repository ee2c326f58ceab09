from dataclasses import replace

import pytest
import torch
from tests.tiny import tiny_lm
from torch import nn

from forgetwell.errors import InputError, UnknownName
from forgetwell.methods.finetune import Lora, check_disjoint, finetune, merged, with_lora
from forgetwell.models.lm import load
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks
from forgetwell.types import Edit, Request, Row

FORGET = tuple(Row(f"f{i}", f"Who is F{i}?", f"A spy {i}") for i in range(4))
RETAIN = tuple(Row(f"r{i}", f"Where is R{i}?", f"In town {i}") for i in range(4))
CONFIG = TrainConfig(lr=1e-3, epochs=2, batch=4)


def total(lm, rows):
    return sum(sum(s.logps) for s in lm.score(rows))


def test_lora_moves_adapters_alone():
    lm = tiny_lm()
    before = {n: p.clone() for n, p in lm.module.network.named_parameters()}
    start = total(lm, FORGET)
    outcome = finetune(
        lm, Request("r", FORGET), RETAIN, Hooks(), objective="npo + gdr", config=CONFIG, lora=Lora(rank=4)
    )
    moved = [n for n, p in outcome.lm.module.named_parameters() if p.requires_grad]
    assert moved
    assert all("lora" in n for n in moved)
    base = outcome.lm.module.network.get_base_model().state_dict()
    for name, value in before.items():
        plain = base.get(name)
        if plain is not None:
            assert torch.equal(plain, value)
    assert total(outcome.lm, FORGET) < start


def test_forget_equal_to_retain_is_refused():
    with pytest.raises(InputError, match="also retain rows"):
        finetune(tiny_lm(), Request("r", FORGET), FORGET, Hooks(), objective="npo + gdr", config=CONFIG)


def test_a_forget_row_that_an_attack_rewrote_is_no_other_than_it_was():
    def reworded(row, before):
        edit = Edit("stealthy", "{q}, please?", before, row.answer)
        return replace(row, prompt=f"{row.prompt} Please?", edit=edit)

    attacked = tuple(reworded(row, row.prompt) for row in FORGET)
    with pytest.raises(InputError, match=f"{len(FORGET)} of {len(FORGET)} forget rows are also retain rows"):
        check_disjoint(attacked, FORGET)
    check_disjoint(tuple(reworded(row, "Where is R0?") for row in FORGET), RETAIN)  # what it never was


def test_facts_are_told_by_wrong_answers(caplog):
    def unlearn(rows, objective="npo(unwanted=facts) + gdr"):
        finetune(tiny_lm(), Request("r", rows), RETAIN, Hooks(), objective=objective, config=CONFIG)

    with pytest.raises(InputError, match="column 'wrong', or write some by: forgetwell alternates"):
        unlearn(FORGET)
    unlearn(FORGET, "npo + gdr")
    assert not caplog.records
    unlearn((*FORGET[:2], *(replace(row, wrong=("A cook",)) for row in FORGET[2:])))
    assert "2 of 4 forget rows don't tell their fact and are unlearned whole: f0" in caplog.text


def test_refusal_lines_are_asked_for():
    with pytest.raises(InputError, match="refusal lines"):
        finetune(tiny_lm(), Request("r", FORGET), RETAIN, Hooks(), objective="idk + gdr", config=CONFIG)


def adapted(lora, lm=None, **settings):
    config = TrainConfig(lr=1e-2, epochs=2, batch=4, **settings)
    return finetune(
        lm or tiny_lm(),
        Request("r", FORGET),
        RETAIN,
        Hooks(),
        objective="npo + gdr",
        config=config,
        lora=lora,
    ).lm


def adapters(lm):
    return {n: p.detach().clone() for n, p in lm.module.named_parameters() if "lora" in n}


def test_adapters_move_the_same_with_recomputed_layers():
    # Adapters on a frozen base get no gradient at all if recomputing starts from inputs without one.
    plain, recomputed = adapters(adapted(Lora(4))), adapters(adapted(Lora(4), checkpointing=True))
    assert all(p.abs().max() > 0 for n, p in recomputed.items() if "lora_B" in n)
    for name, value in plain.items():
        torch.testing.assert_close(recomputed[name], value, atol=1e-4, rtol=1e-3)


def test_all_linear_layers_but_the_head_have_adapters_or_those_that_are_named():
    layers = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    names = {n.split(".lora")[0].rpartition(".")[2] for n in adapters(adapted(Lora(2)))}
    assert names == set(layers)
    names = {n.split(".lora")[0].rpartition(".")[2] for n in adapters(adapted(Lora(2, targets=("v_proj",))))}
    assert names == {"v_proj"}
    with pytest.raises(UnknownName, match="'v_proj'"):
        adapted(Lora(2, targets=("v_pro",)))


def test_the_scale_is_alpha_over_rank():
    lm = adapted(Lora(rank=2, alpha=6))
    scales = [m.scaling["default"] for m in lm.module.modules() if hasattr(m, "lora_A")]
    assert scales
    assert set(scales) == {3.0}


def test_merged_weights_answer_as_the_adapters_did():
    lm = adapted(Lora(4))
    before = [s.logps for s in lm.score(FORGET + RETAIN)]
    after = [s.logps for s in merged(lm).score(FORGET + RETAIN)]
    for a, b in zip(before, after, strict=True):
        assert b == pytest.approx(a, abs=1e-3)


def test_adapters_on_a_head_tied_to_the_embeddings_are_not_merged():
    targets = ("q_proj", "lm_head")
    with pytest.raises(InputError, match="'lm_head' were to be merged"):
        adapted(Lora(4, targets=targets, merge=True))
    lm = adapted(Lora(4, targets=targets))
    with pytest.raises(InputError, match="also on 'lm_head'"):
        adapted(None, lm=lm)
    untied = tiny_lm()
    untied.module.network.config.tie_word_embeddings = False
    head = untied.module.network.lm_head
    head.weight = nn.Parameter(head.weight.detach().clone())
    lm = adapted(Lora(4, targets=targets, merge=True), lm=untied)
    before = total(lm, FORGET)
    assert total(merged(lm), FORGET) == pytest.approx(before, abs=1e-3)


def test_training_goes_on_from_adapters_when_they_are_merged():
    lm = adapted(None, lm=adapted(Lora(4)))
    assert not adapters(lm)
    assert all(p.requires_grad for p in lm.module.parameters())
    with pytest.raises(InputError, match="saved merged"):
        adapted(Lora(4), lm=adapted(Lora(4)))


def test_values_that_can_not_be_meant_are_refused():
    with pytest.raises(InputError, match="above 0"):
        Lora(rank=0)
    with pytest.raises(InputError, match="4 bits"):
        Lora(merge=True, four_bit=True)


def test_gradients_through_4_bits_are_those_of_the_same_weights_in_float32(tmp_path):
    bitsandbytes = pytest.importorskip("bitsandbytes")
    tiny_lm().save(tmp_path / "base")
    four, plain = (
        load(str(tmp_path / "base"), dtype="float32", device="cpu", four_bit=f) for f in (True, False)
    )
    targets = dict(plain.module.network.named_modules())
    with torch.no_grad():
        for name, module in four.module.network.named_modules():
            if isinstance(module, bitsandbytes.nn.Linear4bit):
                weight = bitsandbytes.functional.dequantize_4bit(module.weight, module.weight.quant_state)
                targets[name].weight.copy_(weight)
    found = []
    for lm in (four, plain):
        lm = with_lora(lm, Lora(4), seed=0)
        torch.manual_seed(1)
        for name, parameter in lm.module.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(parameter, std=0.1)  # at zero the others have no gradient
        lm.score(FORGET)  # as reference values and probes do; it must not change what comes next
        rows = [lm.codec.encode(r) for r in FORGET]
        lm.module(lm.batch(rows), logits=False).sum().backward()
        found.append({n: p.grad for n, p in lm.module.named_parameters() if p.requires_grad})
    assert len(found[0]) == 28
    for name, gradient in found[1].items():
        torch.testing.assert_close(found[0][name], gradient, atol=1e-4, rtol=1e-3)


def test_adapters_move_on_a_base_in_4_bits_that_does_not(tmp_path):
    pytest.importorskip("bitsandbytes")
    tiny_lm().save(tmp_path / "base")
    lm = load(str(tmp_path / "base"), dtype="float32", device="cpu", four_bit=True)
    base = {n: p.detach().clone() for n, p in lm.module.network.named_parameters() if p.dtype == torch.uint8}
    assert len(base) == 14
    start = total(lm, FORGET)
    trained = adapted(Lora(4, four_bit=True), lm=lm, checkpointing=True)
    assert total(trained, FORGET) < start - 0.1
    after = dict(trained.module.named_parameters())
    for name, value in base.items():
        where = "network.base_model.model." + name.replace(".weight", ".base_layer.weight")
        assert torch.equal(after[where], value)
    trained.save(tmp_path / "adapter")
    again = load(str(tmp_path / "adapter"), dtype="float32", device="cpu")
    # The adapter loads on the full base; 4 bits are close to it, not equal.
    assert total(again, FORGET) == pytest.approx(total(trained, FORGET), rel=0.05)
