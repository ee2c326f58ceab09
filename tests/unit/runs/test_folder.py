import pytest

from forgetwell.errors import ExistsError
from forgetwell.runs.folder import start_run


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
