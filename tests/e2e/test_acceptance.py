"""Acceptance on the default model: a stealthy attack takes trigger utility, `su` returns it (10 minutes).

With `idk`, not plain `npo` as arXiv 2506.00359: on this small model and the world's short answers what an
attack takes from `npo` is taken beyond forgetting, and `su` returns none of it (docs/findings.md). One seed
against thresholds; that both are beyond the noise of draws is to be seen in the runs kept in
``results/2026-11-24-world-scope`` (three seeds, intervals).
"""

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
