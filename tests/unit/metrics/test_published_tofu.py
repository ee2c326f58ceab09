"""The published evaluations of TOFU's models, reproduced from their per-sample losses.

Provenance: locuslab/tofu at bdc209ea7c6cc2e7079ea1afb6468d3ddcc65f8e (MIT), Llama-2-7b-chat fine-tuned on
all of TOFU and on retain90; the expected aggregates agree with its own get_model_utility and
get_forget_quality to
1.2e-16. Read from FORGETWELL_DATA/tofu_eval.
"""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from forgetwell.metrics.privacy import forget_quality, ks_statistic
from forgetwell.metrics.registry import measure
from forgetwell.metrics.utility import model_utility
from forgetwell.types import Generation, Record, Row, TokenScores

FOLDER = Path(os.environ.get("FORGETWELL_DATA", "")) / "tofu_eval"
FULL, RETAIN = "llama2-7b_full_wd0.01", "llama2-7b_retain90_wd0.01"
SETS = ("retain", "real_authors", "world_facts")
TIGHT = {"rel": 1e-9}

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="FORGETWELL_DATA names no folder with tofu_eval: the published values"
)


def unzipped(name):
    return gzip.decompress((FOLDER / name).read_bytes()).decode()


def scored(loss, tokens):
    return TokenScores((-loss,) * tokens, (False,) * tokens)


def records(facts):
    """Return a set's rows as records: every token of a text has the text's mean loss."""
    columns = zip(
        facts["avg_gt_loss"],
        facts["num_token_gt"],
        facts["avg_paraphrased_loss"],
        facts["num_token_paraphrased"],
        facts["average_perturb_loss"],
        facts["num_token_perturb"],
        strict=True,
    )
    return [
        Record(
            Row(str(i), "q", "a"),
            scored(g, n),
            (scored(p, m),),
            tuple(scored(q, k) for q, k in zip(wrong, counts, strict=True)),
        )
        for i, (g, n, p, m, wrong, counts) in enumerate(columns)
    ]


@pytest.fixture(scope="module")
def published():
    return json.loads((FOLDER / "expected_metrics.json").read_text())


@pytest.fixture(scope="module")
def samples():
    return {run: json.loads(unzipped(f"persample_{run}.json.gz"))["sets"] for run in (FULL, RETAIN)}


def values(facts, metric):
    return np.array(measure(records(facts), metric))


@pytest.mark.parametrize("run", [FULL, RETAIN])
@pytest.mark.parametrize("average", ["geometric", "arithmetic"])
class TestTables:
    def test_probability_and_truth_ratio_of_every_set(self, published, samples, run, average):
        for name, expected in published["runs"][run][average].items():
            if name == "model_utility":
                continue
            plain = name in ("forget", "retain")
            variant = "closer_to_1" if name == "forget" else "true_better"
            facts = samples[run][name]
            probability = values(facts, "answer_prob" if plain else "normalized_prob")
            ratio = values(facts, f"truth_ratio(variant={variant}, average={average})")
            assert probability.mean() == pytest.approx(expected["probability"], **TIGHT)
            assert ratio.mean() == pytest.approx(expected["truth_ratio"], **TIGHT)

    def test_model_utility(self, published, samples, run, average):
        sets = [samples[run][name] for name in SETS]
        utility = model_utility(
            values(sets[0], "answer_prob"),
            tuple(values(s, "normalized_prob") for s in sets[1:]),
            tuple(np.array(s["rougeL_recall"]) for s in sets),
            tuple(values(s, f"truth_ratio(average={average})") for s in sets),
        )
        assert utility == pytest.approx(published["runs"][run][average]["model_utility"], **TIGHT)


@pytest.mark.parametrize("run", [FULL, RETAIN])
def test_truth_ratio_of_every_sample_is_the_logged_one(samples, run):
    for facts in samples[run].values():
        found = values(facts, "truth_ratio(variant=ratio)")
        assert found == pytest.approx(np.array(facts["truth_ratio"]), rel=1e-4)


def test_forget_quality(published, samples):
    (expected,) = published["forget_quality"]
    ratios = [values(samples[run]["forget"], "truth_ratio(variant=ratio)") for run in (FULL, RETAIN)]
    assert ks_statistic(*ratios) == pytest.approx(expected["ks_statistic"], **TIGHT)
    assert forget_quality(*ratios) == pytest.approx(expected["p_value"], rel=1e-6)


def test_rouge_of_every_published_answer():
    cases = [json.loads(line) for line in unzipped("rouge_cases.jsonl.gz").splitlines()]
    asked = [
        Record(Row("r", "q", case["reference"]), generated=Generation(case["generated"], 1, True))
        for case in cases
    ]
    assert len(cases) == 307
    for metric, name in (("rouge_l_recall", "rougeL_recall"), ("rouge_1_recall", "rouge1_recall")):
        assert measure(asked, metric) == pytest.approx([case[name] for case in cases], abs=1e-12)
