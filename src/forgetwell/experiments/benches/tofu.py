"""TOFU as benches: cut to some authors, or all of it."""

from __future__ import annotations

from typing import Literal

from forgetwell.data.benchmarks import tofu as rows_of
from forgetwell.experiments.bench import Bench, bench
from forgetwell.training.config import TrainConfig

_AUTHOR = 20  # questions an author


@bench(paper="2401.06121")
def tofu(*, authors: int = 20, epochs: int = 6) -> Bench:
    """Return TOFU cut to some authors: forget01's two are forgotten, the first ones of retain are kept.

    Args:
        authors: Learned authors in all.
        epochs: Passes over their rows; TOFU has 5, of many more rows.

    Raises:
        MissingError: FORGETWELL_DATA names no folder with TOFU.

    Source: Maini et al. (TOFU), arXiv 2401.06121; the cut is ours, for two processor cores.
    """
    request = rows_of("forget01_perturbed")
    retain = rows_of("retain_perturbed", limit=(authors - len(request) // _AUTHOR) * _AUTHOR)
    utility = {
        "retain": retain,
        "real_authors": rows_of("real_authors_perturbed"),
        "world_facts": rows_of("world_facts_perturbed"),
    }
    learning = TrainConfig(lr=2e-4, epochs=epochs, batch=16)
    others = rows_of("holdout01")
    return Bench("tofu", (*request, *retain), learning, request, retain, utility, 40, others)


@bench(paper="2506.00359")
def tofu05() -> Bench:
    """Return all of TOFU, of which 5 % of the authors are forgotten, as in the paper.

    Raises:
        MissingError: FORGETWELL_DATA names no folder with TOFU.

    Source: arXiv 2506.00359, section 5.1.
    """
    return _whole("05")


@bench(paper="2506.00359")
def tofu10() -> Bench:
    """Return all of TOFU, of which 10 % of the authors are forgotten, as in the paper.

    Raises:
        MissingError: FORGETWELL_DATA names no folder with TOFU.

    Source: arXiv 2506.00359, section 5.1.
    """
    return _whole("10")


def _whole(share: Literal["05", "10"]) -> Bench:
    """Return all of TOFU: 4,000 learned rows, of which a share is forgotten, as in the paper.

    Args:
        share: Per cent of the authors that are forgotten.

    Raises:
        MissingError: FORGETWELL_DATA names no folder with TOFU.

    Source: arXiv 2506.00359, section 5.1. Its utility sets have 400 retain, 100 author and 117 fact rows.
    """
    utility = {name: rows_of(f"{name}_perturbed") for name in ("retain", "real_authors", "world_facts")}
    request, retain = rows_of(f"forget{share}_perturbed"), rows_of(f"retain{100 - int(share)}")
    learning = TrainConfig(lr=2e-4, epochs=5, batch=16)
    others = rows_of("holdout10")
    return Bench(f"tofu{share}", rows_of("full"), learning, request, retain, utility, 40, others)
