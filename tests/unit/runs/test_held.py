import subprocess
import sys

import pytest

from forgetwell.errors import Busy
from forgetwell.runs.folder import held

HOLDER = """
import sys, time
from pathlib import Path
from forgetwell.runs.folder import held
with held(Path(sys.argv[1]), Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_is_held_by_one_process_and_given_back_by_one_that_dies(tmp_path):
    run, locks, waited = tmp_path / "run", tmp_path / "locks", []
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run), str(locks)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Busy, match="Another process"), held(run, locks):
            pass
        with held(tmp_path / "another run", locks):
            pass
        # whoever waits is told so, and goes on when the other one dies
        with held(run, locks, waiting=lambda: waited.append(other.kill())):
            assert len(waited) == 1
    assert not run.exists()
    with held(run, locks):
        pass
