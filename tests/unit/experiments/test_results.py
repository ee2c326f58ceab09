from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from forgetwell.errors import InputError
from forgetwell.experiments.paper import MEAN, PAPER, published
from forgetwell.experiments.reading import Claim
from forgetwell.experiments.results import write_results
from forgetwell.experiments.tables import CELLS, CLAIMS, RunReading
from forgetwell.files import write_json, write_jsonl
from forgetwell.metrics.statistics import Interval

TOFU = {"bench": "tofu", "seed": 0, "attack": "", "objective": "idk + gdr", "trigger": "", "lora": None}


def kept(
    folder: Path,
    cells: Sequence[RunReading],
    claims: Mapping[str, Sequence[Claim]],
    *manifests: Mapping[str, Any],
) -> str:
    """Write kept results, and return the page made from them."""
    write_jsonl(folder / CELLS, cells)
    write_json(folder / CLAIMS, {name: [asdict(c) for c in found] for name, found in claims.items()})
    for m in manifests:
        name = f"{m['objective'].partition(' ')[0]}-{m['condition']}-{m['seed']}"
        write_json(folder / f"{name}.manifest.json", m)
    write_results(folder.parent, folder.parent.parent / "results.md")
    return (folder.parent.parent / "results.md").read_text()


def test_the_papers_own_summary_follows_from_its_tables():
    """25 to 98 % of the trigger utility is taken; for NPO on LLaMA nearly all of it is returned at 10 %."""
    taken = [p.taken for p in PAPER if p.data == "tofu" and not p.lora and p.taken is not None]
    assert min(taken) == pytest.approx(0.22, abs=0.01)  # Phi's; of the two models in the tables 0.25
    assert max(taken) == pytest.approx(0.98, abs=0.01)
    llama = next(p for p in published("tofu", "npo", lora=False) if (p.model[:5], p.percent) == ("LLaMA", 10))
    assert llama.returned == pytest.approx(1.0, abs=0.01)


def test_a_share_of_what_is_not_published_is_none():
    assert {p.taken for p in published("tofu", MEAN, lora=False)} == {None}
    assert {p.returned for p in published("tofu", "task_vector", lora=False)} == {None}


def test_the_page_puts_our_shares_and_readings_beside_the_published_ones(tmp_path):
    cells = [("plain", 0, "end", 0.2), ("plain", 1, "end", 0.1), ("plain", 0, "0.4", 0.4)]
    found = (("attack takes, share", 0.4, 0.3), ("su returns, share", 0.2, 0.1), ("attack takes [set]", 1, 1))
    page = kept(
        tmp_path / "results" / "toy",
        [RunReading("loss=idk", c, seed, at, f, 0.8, 0.7) for c, seed, at, f in cells],
        {"loss=idk": [Claim("end", name, Interval(v, low, 0.5, 100), (0, 1)) for name, v, low in found]},
        {**TOFU, "condition": "plain"},
        {**TOFU, "condition": "attacked", "attack": "stealthy(p=0.33)"},
    )
    # One of two seeds got to .4: nothing is said there.
    assert "| condition | seeds | at 0.4 | at the end | forget, at the end |" in page
    assert "| plain | 2 | – | 0.80 / 0.70 | 0.15 |" in page
    assert "| attack takes, share | 0.40 [0.30, 0.50] | 0.45 … 0.67: meets |" in page
    assert "| su returns, share | 0.20 [0.10, 0.50] | 0.66 … 1.30: below |" in page
    assert "| beside the paper | here | LLaMA-3.1-8B, 5 % | LLaMA-3.1-8B, 10 % |" in page
    assert "| plain | 0.15 / 0.80 / 0.70 | 0.02 / 0.66 / 0.65 | 0.02 / 0.55 / 0.50 |" in page
    assert "[set]" not in page
    assert "Seeds: at the end: 0, 1." in page


@pytest.mark.parametrize(
    "other",
    [
        {"bench": "world"},
        {"attack": "adaptive(p=0.33)"},
        {"attack": "stealthy(p=0.67)"},
        {"trigger": "synonyms(p=0.67)"},
        {"objective": "idk(unwanted=facts) + gdr"},
    ],
)
def test_what_the_paper_did_not_do_stands_beside_nothing(tmp_path, other):
    claims = {"loss=idk": [Claim("end", "attack takes, share", Interval(1, 1, 1, 9), (0,))]}
    run = {**TOFU, "condition": "plain", **other}
    cells = [RunReading("loss=idk", "plain", 0, "end", 0.1, 0.8, 0.7)]
    page = kept(tmp_path / "results" / "toy", cells, claims, run)
    assert "| attack takes, share | 1.00 [1.00, 1.00] |  |" in page
    assert "| beside the paper" not in page


def test_defenses_are_averaged_over_the_losses_as_in_the_paper(tmp_path):
    losses = {"ga": 0.1, "npo": 0.2, "idk": 0.6}
    cells = [RunReading(f"loss={k}", "continued", 0, "end", v, 0.5, 0.4) for k, v in losses.items()]
    runs = [{**TOFU, "condition": "continued", "objective": f"{loss} + gdr"} for loss in losses]
    page = kept(tmp_path / "results" / "toy", cells, {}, *runs)
    assert "| continued | 0.30 / 0.50 / 0.40 | 0.34 / 0.78 / 0.54 | 0.30 / 0.55 / 0.21 |" in page


def test_what_is_read_by_another_metric_says_so_and_is_not_put_beside_published_numbers(tmp_path):
    claim = Claim("end", "attack takes, share", Interval(1, 1, 1, 9), (0,))
    cells = [RunReading("loss=idk", "plain", 0, "end", 0.1, 0.8, 0.7, "fact_recall")]
    page = kept(tmp_path / "results" / "toy", cells, {"loss=idk": [claim]}, {**TOFU, "condition": "plain"})
    assert "**loss=idk**, read by `fact_recall`" in page
    assert "| attack takes, share | 1.00 [1.00, 1.00] |  |" in page
    assert "| beside the paper" not in page


def test_what_people_say_of_the_results_comes_first(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "README.md").write_text("## Where we agree\n")
    page = kept(tmp_path / "results" / "toy", [RunReading("loss=idk", "plain", 0, "end", 0.1, 0.8, 0.7)], {})
    assert page.index("## Where we agree") < page.index("## toy")


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(InputError, match=CELLS):
        write_results(tmp_path, tmp_path / "page.md")
