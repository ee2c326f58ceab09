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
