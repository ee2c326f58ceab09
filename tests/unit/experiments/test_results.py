from dataclasses import asdict

import pytest

from forgetwell.errors import InputError
from forgetwell.experiments.paper import PAPER
from forgetwell.experiments.reading import Claim
from forgetwell.experiments.results import write_results
from forgetwell.experiments.tables import CELLS, CLAIMS, RunReading
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
    cells = [("plain", 0, "end", 0.2), ("plain", 1, "end", 0.1), ("plain", 0, "0.4", 0.4)]
    write_jsonl(
        folder / CELLS, [RunReading("loss=idk", c, seed, at, f, 0.8, 0.7) for c, seed, at, f in cells]
    )
    found = (("attack takes, share", 0.4, 0.3), ("su returns, share", 0.2, 0.1), ("attack takes [set]", 1, 1))
    claims = [Claim("end", name, Interval(v, low, 0.5, 100), (0, 1)) for name, v, low in found]
    write_json(folder / CLAIMS, {"loss=idk": [asdict(c) for c in claims]})
    write_results(tmp_path / "results", tmp_path / "results.md")
    page = (tmp_path / "results.md").read_text()
    # One of two seeds got to .4: nothing is said there.
    assert "| condition | seeds | at 0.4 | at the end | forget, at the end |" in page
    assert "| plain | 2 | – | 0.80 / 0.70 | 0.15 |" in page
    assert "| attack takes, share | 0.40 [0.30, 0.50] | 0.45 … 0.67: meets |" in page
    assert "| su returns, share | 0.20 [0.10, 0.50] | 0.66 … 1.30: below |" in page
    assert "[set]" not in page
    assert "Seeds: at the end: 0, 1." in page


def test_what_is_read_by_another_metric_says_so_and_is_not_put_beside_published_shares(tmp_path):
    folder = tmp_path / "results" / "toy"
    claim = Claim("end", "attack takes, share", Interval(1, 1, 1, 9), (0,))
    write_jsonl(folder / CELLS, [RunReading("loss=idk", "plain", 0, "end", 0.1, 0.8, 0.7, "fact_recall")])
    write_json(folder / CLAIMS, {"loss=idk": [asdict(claim)]})
    write_results(tmp_path / "results", tmp_path / "results.md")
    page = (tmp_path / "results.md").read_text()
    assert "**loss=idk**, read by `fact_recall`" in page
    assert "| attack takes, share | 1.00 [1.00, 1.00] |  |" in page


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(InputError, match=CELLS):
        write_results(tmp_path, tmp_path / "page.md")
