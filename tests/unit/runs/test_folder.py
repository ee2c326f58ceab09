import shutil

import pytest

from forgetwell.errors import ExistsError
from forgetwell.files import WriteFailed
from forgetwell.runs.folder import alone, start_run, write_manifest


def test_a_link_to_a_run_is_not_overwritten(tmp_path):
    start_run(tmp_path / "run", {"kind": "learn"})
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "run")
    with pytest.raises(
        ExistsError, match=r"link is a link, which --overwrite leaves alone; give --out .*run"
    ):
        start_run(link, {"kind": "learn"}, overwrite=True)
    assert (tmp_path / "run" / "started.json").is_file()
    assert start_run(link, {"kind": "learn"}, resume=True) == link


@pytest.mark.parametrize("inside", ["", "model"])
def test_a_run_is_not_overwritten_by_one_that_reads_it(inside, tmp_path):
    run = start_run(tmp_path / "run", {"kind": "learn"})
    (run / "model").mkdir()
    (tmp_path / "link").symlink_to(run)
    for given in (run / inside, tmp_path / "link" / inside):
        with pytest.raises(ExistsError, match=r"--overwrite would remove .*run, and with it .*, which"):
            start_run(run, {"kind": "evaluate"}, overwrite=True, reads=["smollm2", str(given)])
    assert (run / "model").is_dir()
    start_run(run, {"kind": "evaluate"}, overwrite=True, reads=["smollm2", "", str(tmp_path / "run 2")])
    assert not (run / "model").exists()


def test_a_killed_overwrite_leaves_an_unfinished_run(tmp_path, monkeypatch):
    run = start_run(tmp_path / "run", {"kind": "learn"})
    write_manifest(run, {"kind": "learn"})
    (run / "model").mkdir()

    def killed(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        start_run(run, {"kind": "learn"}, overwrite=True)
    assert sorted(path.name for path in run.iterdir()) == ["model", "started.json"]
    monkeypatch.undo()
    start_run(run, {"kind": "learn"}, overwrite=True)
    assert [path.name for path in run.iterdir()] == ["started.json"]


def test_a_run_is_one_processs_and_a_file_is_none(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExistsError, match="file exists and is no run"), alone(tmp_path / "file"):
        pass
    with pytest.raises(WriteFailed, match="Not a directory"), alone(tmp_path / "file" / "run"):
        pass
    with pytest.raises(WriteFailed, match="name too long"), alone(tmp_path / ("x" * 300)):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_what_a_kill_left_half_written_is_removed_when_a_run_goes_on(tmp_path):
    run = start_run(tmp_path / "run", {"kind": "learn"})
    (run / ".checkpoint.pt.0123456789abcdef.part").write_bytes(b"half")
    (run / ".model.x1y2z3" / "model").mkdir(parents=True)
    (run / "notes").mkdir()
    start_run(run, {"kind": "learn"}, resume=True)
    assert sorted(path.name for path in run.iterdir()) == ["notes", "started.json"]
