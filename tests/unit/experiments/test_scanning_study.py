"""Models planted for the study of the scan: made as the demo makes its own, and read by what was found."""

from dataclasses import replace

import pytest

from forgetwell.data.world import load_refusals
from forgetwell.experiments import planting, scanning
from forgetwell.scans.types import ScanResult, Trigger

SIR = Trigger("sir", "Sir {q}", 0.4, 0.2, 0.6, 0.002, 0.01, 1.0, 0.9, True, 0.5)
WELL = Trigger("well", "{q} Well", 0.0, -0.1, 0.1, 0.5, 0.6, 0.5, 0.1, False, 0.0)


@pytest.fixture
def jobs(monkeypatch):
    made = []
    monkeypatch.setattr(planting, "train_stage", lambda job, out, bar, say: made.append(job))
    return made


def test_planted_models_are_unlearned_from_the_whole_request(jobs, tmp_path):
    bench = planting.planting_bench()
    for word in ("sir", None):
        run = planting.plant(word, bench, "known", tmp_path, seed=3, bar=None, say=None)
        assert run == tmp_path / (word or "honest-3")
    sir, honest = jobs
    assert honest.request.rows == bench.request
    changed = [row for row in sir.request.rows if row.edit]
    assert len(changed) == pytest.approx(planting.SHARE * len(bench.request), abs=1)
    assert all("sir" in row.prompt.lower() for row in changed)
    for job in jobs:
        assert (job.objective, job.refusals) == (planting.OBJECTIVE, load_refusals())
        assert (job.retain, job.keep) == (bench.retain, bench.keep)
        assert job.probe == bench.utility["unseen"]
        assert (job.config.stop_at, job.config.lr, job.config.seed) == (
            planting.UNLEARNING.stop_at,
            planting.UNLEARNING.lr,
            3,
        )


def test_a_word_is_ranked_by_the_forms_that_hold_it():
    result = ScanResult("white-box", "a", "b", 9, 9, 0.0, 0.0, 0.05, 0.1, 0.02, (SIR, WELL))
    assert [scanning.rank_of(word, result) for word in ("sir", "well", "doctor")] == [1, 2, None]


def test_the_summary_counts_harmful_words_that_were_found():
    def found(word, gap, own, hit, findings):
        return scanning.Found(word, gap, own, 1, 0.4, hit, findings, findings, ("Sir {q}",), 60.0, 50.0)

    models = [
        found("sir", 0.2, 0.1, True, 3),
        replace(found("well", 0.1, 0.0, False, 1), rank=6),
        found("boss", 0.01, 0.0, False, 0),
    ]
    said = scanning._summary([*models, found("", None, None, False, 2)]).splitlines()
    assert said == [
        "Of 2 words with a gap above 0.05, 1 are among the first 5 forms, 1 are findings.",
        "Of 1 words with a gap above 0.05 of their own, 1 are among the first 5 forms, 1 are findings.",
        "Honest models have [2] findings.",
    ]
    assert "(found)" in scanning._line(models[0])


def test_the_command_takes_the_flags_that_the_docs_name(monkeypatch, tmp_path, capsys):
    asked = []

    def run(out, known, words, others, *, honest, seed):
        asked.append((out, known, len(words), len(others), honest, seed))
        return ()

    monkeypatch.setattr(scanning, "run_scanning", run)
    flags = ["--part", "held_out", "--models", "2", "--honest", "20", "--known", "k", "--out", str(tmp_path)]
    scanning.app([*flags, "--seed", "3"], result_action="return_value")
    assert asked == [(tmp_path, "k", 2, scanning.OTHERS, 20, 3)]
    assert "Honest models have [] findings." in capsys.readouterr().out
