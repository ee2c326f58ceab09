import pytest
import torch

from forgetwell.errors import InputError
from forgetwell.models import hardware
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


@pytest.mark.parametrize(
    ("units", "instructions", "gain", "expected"),
    [
        (True, True, 0.4, torch.bfloat16),  # matrix units: nothing is measured
        (False, True, 0.4, torch.float32),
        (False, True, 2.1, torch.bfloat16),
        (False, False, 2.1, torch.float32),
    ],
)
def test_a_processor_gets_the_type_that_it_multiplies_faster_in(
    monkeypatch, units, instructions, gain, expected
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: units, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions, raising=False)
    monkeypatch.setattr(hardware, "bfloat16_gain", lambda: gain)
    choice = pick_dtype("auto", "cpu")
    assert choice.compute is expected
    assert str(choice).startswith(str(expected).removeprefix("torch.") + ": this processor")


def test_the_gain_is_a_ratio_of_times_that_is_measured_once():
    threads = torch.get_num_threads()
    first = hardware.bfloat16_gain()
    assert torch.get_num_threads() == threads
    assert 0 < first < 100
    assert hardware.bfloat16_gain() == first
