from __future__ import annotations

import pytest
import torch
from tests.tiny import tiny_lm

from forgetwell.errors import ExistsError, InputError
from forgetwell.models.hardware import pick_dtype
from forgetwell.models.processes import Processes
from forgetwell.training.gradient import divided
from forgetwell.training.parallel import asked_kind, sharded
from forgetwell.training.views import Pair

PAIRS = tuple(Pair(None, None, str(i), "") for i in range(5))


def launched(monkeypatch, **settings):
    for name, value in {"WORLD_SIZE": "2", **settings}.items():
        monkeypatch.setenv(name, value)


def test_one_process_needs_no_launcher(monkeypatch):
    launched(monkeypatch, WORLD_SIZE="1", ACCELERATE_USE_DEEPSPEED="true")
    assert asked_kind() == "single"


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({}, "ddp"), ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, "fsdp2")],
)
def test_the_launcher_decides(monkeypatch, settings, kind):
    launched(monkeypatch, **settings)
    assert asked_kind() == kind


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, "DDP or FSDP2"),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, "fsdp_version: 2"),
        (
            {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_OFFLOAD_PARAMS": "true"},
            "fsdp_offload_params: false",
        ),
        (
            {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_ACTIVATION_CHECKPOINTING": "true"},
            "--checkpointing",
        ),
    ],
)
def test_what_is_not_done_is_refused(monkeypatch, settings, advice):
    launched(monkeypatch, **settings)
    with pytest.raises(InputError, match=advice):
        asked_kind()


def test_a_model_in_four_bits_is_not_divided():
    lm = tiny_lm()
    lm.module.packed = torch.nn.Parameter(torch.zeros(4, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(InputError, match="--four-bit"):
        sharded(lm, 2)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("accumulate", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_every_process_takes_as_many_micro_batches_and_each_pair_is_taken_once(count, accumulate, size):
    parts = [divided(PAIRS[:size], Processes(i, count), accumulate) for i in range(count)]
    assert len({len(p) for p in parts}) == 1
    taken = sorted(pair.refusal for process in parts for part in process for pair in part)
    assert taken == [p.refusal for p in PAIRS[:size]]


def test_the_launchers_precision_goes_before_the_processors(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert pick_dtype("auto", "cpu").compute is torch.bfloat16
    assert pick_dtype("float32", "cpu").compute is torch.float32
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(InputError, match="bf16 or no"):
        pick_dtype("auto", "cpu")


def test_an_error_of_the_first_process_is_everyones(monkeypatch):
    """The broadcast is replaced by a box that the first process fills and the second reads."""
    box = []

    def same(self, value):
        if self.first:
            box.append(value)
        return box[0]

    monkeypatch.setattr(Processes, "same", same)

    def refuse():
        raise ExistsError("runs/x holds a run.")

    for index in (0, 1):
        with pytest.raises(ExistsError, match="holds a run"):
            Processes(index, 2).by_first(refuse)
