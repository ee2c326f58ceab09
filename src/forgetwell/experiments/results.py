"""``docs/results.md``: what committed runs of plans show, beside what the paper reports.

python -m forgetwell.experiments.results results docs/results.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError
from forgetwell.experiments.grid import CELLS, CLAIMS, Cell, cells_table
from forgetwell.experiments.paper import PAPER
from forgetwell.files import read_json, read_jsonl, write_text

_INTRO = """# Results

Made from the folders under `results/` by `python -m forgetwell.experiments.results results docs/results.md`;
each folder's README has the command, hardware and versions. ROUGE-L recall of greedy answers; utility is the
mean over the utility sets. "Taken" is the share of trigger utility that the stealthy attack takes from the
same objective without attack, "returned" the share of that which `su` gives back, with 95 % intervals over
paired questions. Published shares are computed from the tables of arXiv 2506.00359 (LLaMA-3.1-8B and
Mistral-7B-v0.3, 5 and 10 % of TOFU).
"""
_SHARES = (("taken", "attack takes, share"), ("returned", "su returns, share"))


def write_results(results: Path, page: Path) -> None:
    """Write the page from every folder under `results` that holds a plan's tables.

    Raises:
        InputError: No folder does.
    """
    folders = sorted(f.parent for f in results.glob(f"*/{CELLS}"))
    if not folders:
        raise InputError(f"No folder under {results} holds {CELLS}; copy there what a plan's run wrote.")
    write_text(page, "\n".join([_INTRO, *(line for folder in folders for line in _section(folder))]) + "\n")


def _section(folder: Path) -> Iterator[str]:
    cells = [Cell(**c) for c in read_jsonl(folder / CELLS)]
    claims: Mapping[str, Sequence[Mapping[str, Any]]] = read_json(folder / CLAIMS)
    yield f"\n## {folder.name}\n"
    yield cells_table(cells)
    lines = [line for name, found in claims.items() for line in _effects(name, found)]
    if lines:
        yield "| comparison | read at | share | here | published |\n|---|---|---|---|---|"
        yield from lines


def _effects(comparison: str, claims: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    loss = re.search(r"loss=(\w+)", comparison)
    for claim in claims:
        for attribute, name in _SHARES:
            if claim["name"] == name:
                i = claim["interval"]
                here = f"{i['value']:.2f} [{i['low']:.2f}, {i['high']:.2f}]"
                published = _published(loss[1] if loss else "npo", attribute)
                yield f"| {comparison} | {claim['at']} | {attribute} | {here} | {published} |"


def _published(loss: str, attribute: str) -> str:
    values = [getattr(line, attribute) for line in PAPER if line.loss == loss]
    return f"{min(values):.2f} … {max(values):.2f}" if values else "–"


if __name__ == "__main__":
    write_results(Path(sys.argv[1]), Path(sys.argv[2]))
