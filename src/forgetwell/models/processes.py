"""Several processes at one evaluation or training run, started by ``accelerate launch`` or ``torchrun``."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar, cast

from forgetwell.errors import ForgetwellError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among those that work together.

    Attributes:
        index: Number of this process, from 0.
        count: How many there are.
    """

    index: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that reads and writes files."""
        return self.index == 0

    def gather(self, values: list[T]) -> list[T]:
        """Return the values of all processes, in their order; every process must call it."""
        if self.count == 1:
            return values
        from accelerate.utils import gather_object

        gathered: list[T] = gather_object(values)
        return gathered

    def same(self, value: T) -> T:
        """Return the first process's value; every process must call it."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        box = [value]
        broadcast_object_list(box, from_process=0)
        return box[0]

    def by_first(self, action: Callable[[], T]) -> T:
        """Let the first process act; all get its value, or raise its error. Every process must call it."""
        if self.count == 1:
            return action()
        value: T | None = None
        error: ForgetwellError | None = None
        if self.first:
            try:
                value = action()
            except ForgetwellError as found:
                error = found
        value, error = self.same((value, error))
        if error is not None:
            raise error
        return cast("T", value)


def started_processes() -> Processes:
    """Return this process's place; without a launcher it is alone. On GPUs each gets its own."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    from accelerate import PartialState

    from forgetwell.models.hardware import pick_device

    state = PartialState(cpu=pick_device() == "cpu")
    return Processes(state.process_index, state.num_processes)


def says_first(message: str) -> bool:
    """Say whether this process is the first to have this message for the user; alone, it always is.

    The store of ``accelerate launch`` and ``torchrun`` decides, so that a message appears once whichever
    process has it, be it before the processes have found each other or while some wait for others. Where it
    can't be asked the process speaks: twice is better than never.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return True
    from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined] # torch doesn't list it

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    name = f"forgetwell/said/{sha256(message.encode()).hexdigest()}"
    try:
        store = TCPStore(host, port, timeout=timedelta(seconds=5), wait_for_workers=False)
        return bool(store.add(name, 1) == 1)
    except DistError:
        return True


def end_processes(code: int = 0) -> None:
    """Leave the processes that work together and end this one; alone, do nothing.

    The last call of each process, once its files are closed. The interpreter's own ending is left out:
    threads that are still there abort the process now and then ("terminate called without an active
    exception"), and the launcher calls a finished run failed.

    Args:
        code: Exit code.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
