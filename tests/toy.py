"""A comparison small enough for a tiny model."""

from contextlib import contextmanager

from forgetwell.experiments.bench import Bench
from forgetwell.training.config import TrainConfig
from forgetwell.types import Row


def rows(prefix, count):
    return tuple(
        Row(f"{prefix}{i}", f"Where is {prefix}{i}?", f"In {i}", f"{prefix}{i // 2}") for i in range(count)
    )


BENCH = Bench("toy", (), TrainConfig(), rows("f", 2), rows("r", 4), {"kept": rows("r", 4)}, 4)


@contextmanager
def bar(what):
    yield lambda done, steps: None
