import pytest
import torch

from forgetwell.errors import InputError
from forgetwell.models.hardware import pick_dtype


def test_a_named_dtype_is_taken():
    assert pick_dtype("bfloat16", "cpu").compute is torch.bfloat16


def test_an_unknown_dtype_is_refused():
    with pytest.raises(InputError, match="float16"):
        pick_dtype("float16")


@pytest.mark.parametrize("native", [True, False])
def test_emulated_bfloat16_does_not_count(monkeypatch, native):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native
    )
    assert (pick_dtype("auto", "cuda:0").compute is torch.bfloat16) == native


def test_the_device_decides_and_not_the_machine(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert "processor" in pick_dtype("auto", "cpu").reason
