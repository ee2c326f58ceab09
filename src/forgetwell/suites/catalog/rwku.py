"""RWKU: what a model still says about real people, their neighbourhood, and everything else."""

from __future__ import annotations

from collections.abc import Sequence

from forgetwell.data.row_files import thinned
from forgetwell.data.rwku import bbh, mmlu, probes, rwku_targets, triviaqa, truthfulqa
from forgetwell.suites.registry import suite
from forgetwell.suites.types import Split, SplitRole, Suite
from forgetwell.types import Row

UTILITY_ROWS = 100  # of each utility set, unless the suite is full


@suite(paper="2406.10890")
def rwku(
    *,
    target: tuple[str | int, ...] = (1,),
    full: bool = False,
    shots: int = 5,
    limit: int | None = None,
    max_new_tokens: int = 30,
) -> Suite:
    """RWKU: probes on targets at three levels, on their neighbourhood at two, and four utility sets.

    Splits: ``forget_level1`` (blanks), ``forget_level2`` (questions), ``forget_level3`` (nine adversarial
    forms), ``neighbor_level1``, ``neighbor_level2``, ``triviaqa`` and ``bbh`` (`exact_match`), and as
    multiple choice ``mmlu`` (`choice_accuracy`), ``truthfulqa_mc1`` (``choice_accuracy(by=sum)``) and
    ``truthfulqa_mc2`` (`mc2`).

    Args:
        target: Names or numbers of the people to forget, as [1, "Stephen King"].
        full: Ask all rows of the utility sets instead of 100 of each.
        shots: Solved examples before each question of MMLU, 0 to 5; fewer for models with a short context.
        limit: Rows of each set at most, spread evenly.
        max_new_tokens: Length of answers.

    Source: Jin et al. (RWKU), arXiv 2406.10890, sections 3 and 4; wording and BBH prompts differ, see
    `forgetwell.data.rwku`.
    """
    chosen, few = rwku_targets(target), limit or (None if full else UTILITY_ROWS)
    splits = [
        *(_split(f"forget_level{k}", "forget", probes(f"forget_level{k}", chosen), limit) for k in (1, 2, 3)),
        *(
            _split(f"neighbor_level{k}", "retain", probes(f"neighbor_level{k}", chosen), limit)
            for k in (1, 2)
        ),
        _split("triviaqa", "utility", triviaqa(), few),
        _split("bbh", "utility", bbh(), few),
        _split("mmlu", "utility", mmlu(shots), few, answered=False),
        _split("truthfulqa_mc1", "utility", truthfulqa("mc1"), few, answered=False),
        _split("truthfulqa_mc2", "utility", truthfulqa("mc2"), few, answered=False),
    ]
    return Suite("rwku", tuple(s for s in splits if s.rows), max_new_tokens)


def _split(
    name: str, role: SplitRole, rows: Sequence[Row], limit: int | None, *, answered: bool = True
) -> Split:
    return Split(name, role, "clean", tuple(thinned(rows, limit)), answered=answered)
