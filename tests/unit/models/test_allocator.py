from __future__ import annotations

import platform

import pytest
import torch

from forgetwell.models import allocator
from forgetwell.models.allocator import give_back, keeping_memory


class Library:
    """Takes down what it is asked for."""

    def __init__(self, name):
        calls.append(("load", name))

    def mallopt(self, name, value):
        calls.append((name, value))
        return 1

    def malloc_trim(self, pad):
        calls.append(("trim", pad))
        return 1


calls: list[tuple] = []


@pytest.fixture(autouse=True)
def recorded(monkeypatch):
    calls.clear()
    monkeypatch.setattr(allocator.ctypes, "CDLL", Library)


def fail():
    """Raise inside."""
    with keeping_memory():
        assert calls == [("load", None), (-4, 0), (-1, -1)]
        raise ZeroDivisionError


def test_settings_come_back_and_memory_is_returned_also_after_an_error(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    with pytest.raises(ZeroDivisionError):
        fail()
    assert calls[3:] == [(-4, 65536), (-1, 131072), ("trim", 0)]


@pytest.mark.parametrize(("active", "library"), [(False, "glibc"), (True, "musl"), (True, "")])
def test_elsewhere_nothing_is_touched(monkeypatch, active, library):
    monkeypatch.setattr(platform, "libc_ver", lambda: (library, ""))
    with keeping_memory(active=active):
        assert torch.ones(3).sum() == 3
    assert calls == []


def test_unused_memory_is_given_back_where_the_library_can(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    give_back()
    assert calls == [("load", None), ("trim", 0)]
    calls.clear()
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    give_back()
    assert calls == []
