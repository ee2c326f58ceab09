import errno
import subprocess
import sys

import pytest

from forgetwell.errors import InputError, told


def test_what_is_for_the_user_is_one_line_and_code_2(capsys):
    with pytest.raises(SystemExit) as stop, told("tool"):
        raise InputError("x is 3, it must be 1 or 2.")
    assert stop.value.code == 2
    assert capsys.readouterr().err == "tool: x is 3, it must be 1 or 2.\n"


def test_a_full_disk_names_the_file(capsys):
    with pytest.raises(SystemExit) as stop, told("tool"):
        raise OSError(errno.ENOSPC, "No space left on device", "a.json")
    assert stop.value.code == 2
    assert capsys.readouterr().err == "tool: Can't read or write a.json: No space left on device.\n"


def test_our_own_faults_keep_their_traceback_and_other_processes_are_silent(capsys):
    with pytest.raises(ZeroDivisionError), told("tool"):
        _ = 1 // 0
    with pytest.raises(SystemExit), told("tool", first=lambda message: "again" not in message):
        raise InputError("again.")
    assert not capsys.readouterr().err


@pytest.mark.parametrize(("module", "given"), [("harm", ["plan"]), ("keeping", ["runs", "out"])])
def test_modules_that_are_run_say_what_is_missing(module, given, tmp_path):
    command = [sys.executable, "-m", f"forgetwell.experiments.{module}", *given]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"python -m forgetwell.experiments.{module}: ")
    assert ended.stderr.count("\n") == 1
