"""RWKU as a bench."""

from __future__ import annotations

from collections.abc import Sequence

from forgetwell.experiments.bench import Bench, bench
from forgetwell.experiments.rwku_choice import LEVELS, asked_rows, pick, read_choice, texts
from forgetwell.training.config import TrainConfig
from forgetwell.types import Row

_NEIGHBORS = ("neighbor_level1", "neighbor_level2")


@bench(paper="2406.10890")
def rwku(*, triple: int = 1, choice: str = "smollm2", passages: int = 0) -> Bench:
    """Return RWKU: passages about one person are forgotten, those about a second are kept.

    Nothing is learned first. Forgetting is the recall of the first person's blanks and questions. Utility
    sets: ``neighbors``, probes on what surrounds that person, and ``others``, blanks and questions on five
    further people. All are people whom the model knew best before unlearning, by `rwku_choice`.

    Args:
        triple: Which of five, from 1.
        choice: ``smollm2``, or the file that ``python -m forgetwell.experiments.rwku_choice`` wrote.
        passages: Passages of each person at most; 0 = all of 100 to 1,500 characters.

    Raises:
        MissingError: FORGETWELL_DATA names no folder with RWKU.
        InputError: There is no such choice or triple.

    Source: arXiv 2506.00359, section 5 (triples; utility there is measured on a third person alone); Jin et
    al. (RWKU), arXiv 2406.10890.
    """
    chosen = pick(read_choice(choice), triple)
    request, retain = (texts(target)[: passages or None] for target in (chosen.forget, chosen.retain))
    questions, others = (_asked(LEVELS, targets) for targets in ((chosen.forget,), chosen.others))
    utility = {"neighbors": _asked(_NEIGHBORS, (chosen.forget,)), "others": others}
    name, nothing = f"rwku{triple}", TrainConfig()
    return Bench(name, (), nothing, request, retain, utility, 16, questions=questions, templates="rwku")


def _asked(splits: Sequence[str], targets: Sequence[int]) -> tuple[Row, ...]:
    return tuple(row for split in splits for row in asked_rows(split, targets))
