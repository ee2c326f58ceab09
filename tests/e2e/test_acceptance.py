"""Acceptance on the default model: a stealthy attack takes trigger utility, `su` returns it (10 minutes)."""

import pytest
from tests.toy import bar

from forgetwell.experiments.demo import run_demo
from forgetwell.models.smollm2 import fetched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(fetched() is None, reason="run `forgetwell fetch smollm2` first"),
]


def test_the_attack_takes_trigger_utility_and_su_returns_it(tmp_path):
    done = run_demo(tmp_path, model="smollm2", say=print, bar=bar)
    recall = {
        name: {r.split: r.value for r in results if r.metric == "rouge_l_recall"}
        for name, results in done.results.items()
    }
    assert recall["before"]["forget/clean"] >= 0.9
    for name in ("plain", "attacked", "defended"):
        assert recall[name]["forget/clean"] <= 0.45, name
    plain, attacked, defended = (recall[name] for name in ("plain", "attacked", "defended"))
    assert attacked["utility/trigger"] < plain["utility/trigger"] - 0.1
    assert attacked["utility/clean"] > plain["utility/clean"] - 0.05  # nobody sees it without the word
    assert defended["utility/trigger"] > attacked["utility/trigger"] + 0.1
