from types import SimpleNamespace

import numpy as np
import pytest

from forgetwell.errors import InputError
from forgetwell.experiments.bench import Bench
from forgetwell.experiments.model_screens import (
    Seen,
    family_seen,
    learned_subjects,
    measure,
    table,
)
from forgetwell.experiments.screening_figures import Rate
from forgetwell.training.config import TrainConfig
from forgetwell.types import Row


class Model:
    """Answers are numbers: their log-probabilities, whatever the question is."""

    name, digest, codec = "numbers", "", None

    def score(self, rows, *, moments=False, progress=None):
        return [SimpleNamespace(logps=(float(row.answer),)) for row in rows]


def bench_of(**changes):
    rng = np.random.default_rng(0)
    learn = [
        Row(f"{s}{i}", f"What is number {i} of Ada {s}?", repr(float(rng.normal(-1, 0.1))), f"Ada {s}")
        for s in "BCDEFGHIJKLM"
        for i in range(20)
    ]
    others = tuple(Row(f"x{i}", f"Who is Bo {i}?", repr(-9.0 - i / 100), "Bo") for i in range(40))
    nothing = {"learning": TrainConfig(), "request": (), "retain": (), "utility": {}, "max_new_tokens": 1}
    settings = nothing | {"learn": (*learn, Row("g", "How?", "-1.0")), "others": others} | changes
    return Bench(name="numbers", **settings)


def seen(unknown, losses, rewritten=(), alarm=False):
    return Seen(unknown, alarm, np.array(losses), np.array(rewritten or [False] * len(losses)))


def test_figures_of_an_attack_by_hand():
    honest = [seen(0.0, [1.0, 2.0, 3.0, 4.0])] * 99 + [seen(2.0, [9.0, 1.0, 1.0, 1.0], alarm=True)]
    attacked = [
        seen(3.0, [4.0, 1.0, 2.0, 0.0], [True, False, False, True], alarm=True),
        seen(1.0, [1.0, 2.0, 9.0, 9.0], [False, False, True, True]),
    ]
    found = family_seen("f", 0.5, honest, attacked)
    assert found.flagged == Rate(1, 2)
    assert (found.unknown.tpr, found.unknown.auc) == (1.0, pytest.approx((1 + 0.99) / 2))
    # Means of the worse half: 3.5 and once 5 of the honest ones, 3 and 9 of the attacked ones.
    assert (found.high_loss.tpr, found.high_loss.auc) == (0.5, pytest.approx(0.5))
    assert found.row_auc == pytest.approx((2 / 4 + 1) / 2)
    assert found.removed == Rate(3, 4)
    assert "| `f` | 0.5 | 1 of 2 (50.0%; " in table(honest, [found])
    nothing = family_seen("f", 0.5, honest, [seen(0.0, [1.0, 2.0])])
    assert nothing.row_auc is None


def test_rows_never_learned_are_told_from_rewordings_by_the_answers_alone(tmp_path):
    bench = bench_of()
    assert set(learned_subjects(bench)) == {f"Ada {s}" for s in "BCDEFGHIJKLM"}
    families = ("unknown_rows", "stealthy")
    honest, found = measure(bench, Model(), tmp_path, honest=20, attacked=6, families=families, rates=(0.5,))
    cells = {name: family_seen(name, rate, honest, own) for (name, rate), own in found.items()}
    assert all(len(s.losses) == 40 and not s.rewritten.any() for s in honest)
    assert cells["unknown_rows"].flagged == Rate(6, 6)
    assert cells["unknown_rows"].row_auc == cells["unknown_rows"].unknown.auc == 1.0
    assert abs(cells["stealthy"].row_auc - 0.5) < 0.15
    again, _ = measure(bench, Model(), tmp_path, honest=20, attacked=1, families=(), rates=(0.33,))
    assert [s.unknown for s in again] == [s.unknown for s in honest]


def test_a_bench_without_unlearned_rows_is_refused(tmp_path):
    with pytest.raises(InputError, match="no rows about others"):
        measure(bench_of(others=()), Model(), tmp_path, honest=1, attacked=1, families=(), rates=(0.2,))
