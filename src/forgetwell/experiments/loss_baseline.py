"""What the high-loss baseline sees of the attack: ``python -m forgetwell.experiments.loss_baseline``."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cyclopts import App

from forgetwell.experiments.screening_data import honest_request, load_pool
from forgetwell.files import write_json
from forgetwell.metrics.privacy import auc
from forgetwell.models.lm import LM, load
from forgetwell.requests.attacks import attack_request
from forgetwell.types import Request

app = App(name="python -m forgetwell.experiments.loss_baseline", help=__doc__)


@dataclass(frozen=True)
class Baseline:
    """High loss as a detector.

    Attributes:
        requests: Requests measured, each honest and attacked.
        rate: The attack's p.
        row_auc: AUC of a row's loss for "was rewritten", within attacked requests, mean.
        removed: Share of rewritten rows among the share p of highest loss, mean; p by chance.
        request_auc: AUC of the mean loss of the highest share p for "was attacked", over requests.
    """

    requests: int
    rate: float
    row_auc: float
    removed: float
    request_auc: float


def measure_baseline(lm: LM, *, requests: int, rate: float, seed: int = 0) -> Baseline:
    """Return how well answer loss tells rows and requests under `stealthy` from honest ones (RWKU).

    Source: the baseline of 2506.00359, section 5: remove the share p of highest-loss rows.
    """
    pool, rng = load_pool("report").subjects["rwku"], random.Random(seed)
    rows, removed, usual, attacked = [], [], [], []
    for i in range(requests):
        honest = honest_request(pool, rng)
        hit = attack_request(honest, f"stealthy(p={rate})", seed=i)
        before, after = _losses(lm, honest), _losses(lm, hit)
        edited = np.array([row.edit is not None for row in hit.rows])
        worst = np.argsort(-after)[: round(rate * len(after))]
        rows.append(auc(after[~edited], after[edited]))
        removed.append(float(edited[worst].mean()))
        usual.append(float(np.sort(before)[-len(worst) :].mean()))
        attacked.append(float(np.sort(after)[-len(worst) :].mean()))
    area = auc(np.array(usual), np.array(attacked))
    return Baseline(requests, rate, float(np.mean(rows)), float(np.mean(removed)), area)


@app.default
def main(
    *,
    model: str = "smollm2",
    requests: int = 20,
    rate: float = 0.2,
    out: Path = Path("runs/screening"),
    seed: int = 0,
) -> None:
    """Measure the high-loss baseline on RWKU requests of 40 rows.

    Args:
        model: smollm2, a folder or a hub id.
        requests: Requests to measure.
        rate: The attack's p.
        out: Folder for baseline.json.
        seed: Of all draws.
    """
    found = measure_baseline(load(model), requests=requests, rate=rate, seed=seed)
    write_json(out / "baseline.json", found)
    print(found)


def _losses(lm: LM, request: Request) -> np.ndarray:
    return np.array([-float(np.mean(score.logps)) for score in lm.score(request.rows)])


if __name__ == "__main__":
    app()
