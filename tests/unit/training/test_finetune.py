import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.errors import InputError
from forgetwell.methods.finetune import Lora, finetune
from forgetwell.training.config import TrainConfig
from forgetwell.training.loop import Hooks
from forgetwell.types import Request, Row

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


def test_refusal_lines_are_asked_for():
    with pytest.raises(InputError, match="refusal lines"):
        finetune(tiny_lm(), Request("r", FORGET), RETAIN, Hooks(), objective="idk + gdr", config=CONFIG)
