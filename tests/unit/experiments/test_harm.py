"""From finished runs to: does what screening says follow what unlearning did?"""

import pytest

from forgetwell.errors import InputError
from forgetwell.experiments import harm
from forgetwell.experiments.bench import sampled_utility
from forgetwell.experiments.benches.world import world
from forgetwell.experiments.claims import run_folder, run_settings
from forgetwell.experiments.harm import Harmed, agreement_table, agreements, harm_table, read_harms
from forgetwell.experiments.parts import with_model
from forgetwell.experiments.plan import cells, read_plan
from forgetwell.files import read_json, write_json, write_jsonl
from forgetwell.runs.folder import CURVE, MANIFEST

PLAN = """
bench = "world"
seeds = [0, 1]
per_set = 2
[grid]
rate = [0.1, 0.9]
[conditions.plain]
objective = "npo + gdr"
[conditions.attacked]
attack = "stealthy(p={rate})"
objective = "npo + gdr"
[conditions.defended]
attack = "stealthy(p={rate})"
objective = "npo + gdr + 5*su"
"""


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "toy.toml").write_text(PLAN)
    return read_plan(str(tmp_path / "toy.toml"))


def finished(out, comparison, run, start, end):
    """Write a finished run as the plan makes it."""
    folder, known = run_folder(out / comparison.name, run), out / "known world smollm2"
    splits = sampled_utility(world(), per_set=2, seed=0)

    def checkpoint(step, gap):
        values = {
            k: dict.fromkeys((r.id for r in v), 0.9 - gap * k.endswith("trigger")) for k, v in splits.items()
        }
        return {"step": step, "forget": {}, "utility": values}

    write_jsonl(folder / CURVE, [checkpoint(0, start), checkpoint(9, end)])
    write_json(folder / MANIFEST, run_settings(world(), comparison.setup, run, known))


def test_attacked_runs_are_read_with_what_their_requests_looked_like(tmp_path, plan):
    with pytest.raises(InputError, match="no finished run"):
        read_harms(plan, tmp_path)
    for comparison, run in cells(plan):
        finished(tmp_path, comparison, run, 0.05, 0.05 + (0.4 if "0.9" in run.attack else 0.1))
    harms = read_harms(plan, tmp_path)
    assert {h.condition for h in harms} == {"attacked", "defended"}
    assert len(harms) == 8
    low, high = ([h for h in harms if h.comparison == f"rate={r}"] for r in (0.1, 0.9))
    assert all(h.gap == pytest.approx(0.1) for h in low)
    assert all(h.gap == pytest.approx(0.4) for h in high)
    assert max(h.risk for h in low) < 0.2 < 0.6 < min(h.risk for h in high)
    assert max(h.share for h in low) < min(h.share for h in high)
    (found,) = agreements(harms)
    assert (found.family, found.runs) == ("stealthy", 4)
    assert found.risk.value > 0.7
    assert "| rate=0.9 | defended | 2 |" in harm_table(harms)


def test_runs_of_other_settings_are_refused(tmp_path, plan):
    comparison, run = cells(plan)[1]
    finished(tmp_path, comparison, run, 0.05, 0.2)
    assert len(read_harms(plan, tmp_path)) == 1
    (tmp_path / "toy.toml").write_text(PLAN.replace("[grid]", "[train]\nlr = 1e-3\n[grid]"))
    with pytest.raises(InputError, match=r"attacked-0 holds a finished run .*config.lr 2e-05, now 0.001"):
        read_harms(read_plan(str(tmp_path / "toy.toml")), tmp_path)
    with pytest.raises(InputError, match=r"model .*smollm2, now .*other"):
        read_harms(with_model(plan, "other"), tmp_path)


def harmed(risk, share, gap, condition="attacked", attack="casing"):
    return Harmed("x", condition, attack, 0, risk > 0.3, risk, share, gap)


def test_rank_correlations_by_hand():
    # Ranks of the gap 1 2 3 4; of the risk 1 2 4 3: ρ = 1 - 6·2/(4·15) = 0.8; of the share 4 3 2 1: ρ = -1.
    runs = [harmed(*values) for values in [(0.1, 0.9, 1), (0.2, 0.8, 2), (0.9, 0.7, 3), (0.3, 0.6, 4)]]
    (found,) = agreements([*runs, harmed(0, 0, 9, "defended"), harmed(0, 0, 9, attack="stealthy")])
    assert found.risk.value == pytest.approx(0.8)
    assert found.share.value == pytest.approx(-1)
    assert found.difference.value == pytest.approx(1.8)
    assert found.risk.low <= found.risk.value <= found.risk.high
    assert agreements(runs) == agreements(runs)
    assert "| `casing` | 4 | 0.80 [" in agreement_table([found])


def test_a_score_that_never_moves_ranks_nothing():
    (found,) = agreements([harmed(0.0, k / 9, k) for k in range(5)])
    assert (found.risk.value, found.risk.low, found.risk.high) == (0.0, 0.0, 0.0)
    assert found.share.value == pytest.approx(1)


def test_the_command_writes_both_tables(tmp_path, plan, capsys):
    for comparison, run in cells(plan):
        finished(tmp_path / "runs", comparison, run, 0.0, 0.2)
    with pytest.raises(SystemExit) as stop:
        harm.app([str(tmp_path / "toy.toml"), "--runs", str(tmp_path / "runs")])
    assert not stop.value.code
    assert "| `stealthy` |" in capsys.readouterr().out
    assert len(read_json(tmp_path / "runs" / "harm.json")["runs"]) == 8
    assert "trigger gap" in (tmp_path / "runs" / "harm.md").read_text()
