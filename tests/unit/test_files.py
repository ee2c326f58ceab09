"""Files that appear whole, with the mode that `open` would give them."""

import errno
import os
import stat
from contextlib import suppress

import pytest

from forgetwell.errors import ExistsError, InputError
from forgetwell.files import atomic_path, read_toml, write_text


@pytest.fixture
def umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("umask", "expected"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)], indirect=["umask"]
)
def test_a_new_file_has_the_mode_of_the_umask(tmp_path, umask, expected):
    write_text(tmp_path / "a.txt", "secret")
    assert mode(tmp_path / "a.txt") == expected


@pytest.mark.parametrize("umask", [0o022], indirect=True)
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, umask):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o600)
    write_text(path, "new")
    assert (path.read_text(), mode(path)) == ("new", 0o600)


def test_nothing_is_left_of_a_write_that_broke_off(tmp_path):
    with suppress(RuntimeError), atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False], ids=["links", "a file system without links"])
def test_a_file_that_another_process_made_meanwhile_stays(tmp_path, monkeypatch, links):
    def refuse(*names):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a"
    with atomic_path(path, replace=False) as temporary:
        temporary.write_text("first")
    assert path.read_text() == "first"
    with pytest.raises(ExistsError), atomic_path(path, replace=False) as temporary:
        temporary.write_text("second")
    assert path.read_text() == "first"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_toml_of_a_person_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.toml").write_bytes("\ufefflr = 2e-5".encode())
    assert read_toml(tmp_path / "a.toml") == {"lr": 2e-5}


@pytest.mark.parametrize(
    ("content", "message"), [(b"a = ", "readable TOML"), (b"a = '\xff'", "UTF-8 at byte 5")]
)
def test_toml_that_cannot_be_read_is_named(tmp_path, content, message):
    (tmp_path / "a.toml").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.toml.*{message}"):
        read_toml(tmp_path / "a.toml")
