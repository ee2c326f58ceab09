from dataclasses import asdict

import pytest

from forgetwell.errors import InputError
from forgetwell.experiments.grid import CELLS, CLAIMS, Cell
from forgetwell.experiments.paper import PAPER
from forgetwell.experiments.reading import Claim
from forgetwell.experiments.results import write_results
from forgetwell.files import write_json, write_jsonl
from forgetwell.metrics.statistics import Interval


def test_the_papers_own_summary_follows_from_its_tables():
    """25 to 98 % of the trigger utility is taken; for NPO on LLaMA nearly all of it is returned at 10 %."""
    taken = [line.taken for line in PAPER]
    assert min(taken) == pytest.approx(0.25, abs=0.01)
    assert max(taken) == pytest.approx(0.98, abs=0.01)
    llama = next(line for line in PAPER if (line.model[:5], line.loss, line.percent) == ("LLaMA", "npo", 10))
    assert llama.returned == pytest.approx(1.0, abs=0.01)


def test_the_page_puts_our_shares_beside_the_published_ones(tmp_path):
    folder = tmp_path / "results" / "toy"
    write_jsonl(folder / CELLS, [Cell("loss=idk", "plain", 0, "end", 0.2, 0.8, 0.7)])
    claim = Claim("end", "attack takes, share", Interval(0.4, 0.3, 0.5, 100), (0,))
    write_json(folder / CLAIMS, {"loss=idk": [asdict(claim)]})
    write_results(tmp_path / "results", tmp_path / "results.md")
    page = (tmp_path / "results.md").read_text()
    assert "| loss=idk | plain | end | 0.200 | 0.800 | 0.700 | 1 |" in page
    assert "| loss=idk | end | taken | 0.40 [0.30, 0.50] | 0.45 … 0.67 |" in page


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(InputError, match=CELLS):
        write_results(tmp_path, tmp_path / "page.md")
