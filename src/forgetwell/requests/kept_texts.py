"""What is read of texts is kept for as long as one screening, and goes with it: they are people's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from typing import Any, TypeVar

T = TypeVar("T")

_SHORT = 2000  # longer texts aren't kept
_TEXTS = 1 << 15  # of each function
_kept: ContextVar[dict[Callable[[str], Any], Callable[[str], Any]] | None] = ContextVar("kept", default=None)


@contextmanager
def keeping_texts() -> Iterator[None]:
    """Keep what functions marked `kept` return until the block ends; a block inside another one shares it."""
    if _kept.get() is not None:
        yield
        return
    outside = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(outside)


def kept(read: Callable[[str], T]) -> Callable[[str], T]:
    """Return the function, called once with each short text while `keeping_texts` holds, else every time."""

    @wraps(read)
    def reader(text: str) -> T:
        readers = _kept.get()
        if readers is None or len(text) > _SHORT:
            return read(text)
        cached = readers.get(read)
        if cached is None:
            cached = readers[read] = lru_cache(maxsize=_TEXTS)(read)
        return cached(text)

    return reader
