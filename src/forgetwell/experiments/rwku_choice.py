"""Which people of RWKU a model knows: targets are chosen by its own answers before any unlearning.

python -m forgetwell.experiments.rwku_choice --model smollm2 --out choice.json

Two stages cost less: a few probes of everyone, then all probes of the best.

python -m forgetwell.experiments.rwku_choice --model smollm2 --per-level 4 --out screened.json
python -m forgetwell.experiments.rwku_choice --model smollm2 --among screened.json --best 30 --out choice.json

**The rule.** Every target is asked its blanks (level 1) and questions (level 2); its figure is the mean
ROUGE-L recall of the greedy answers, the mean of both levels' means, so that neither counts more for having
more rows. Targets are ranked by it, ties by number. Nothing of a later run enters. Of five triples the k-th
forgets the target of rank k, keeps texts about that of rank 5 + k, and measures utility on ranks 11 to 15.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cyclopts import App

from forgetwell.data.row_files import read_records, thinned
from forgetwell.data.rwku import all_targets, probes
from forgetwell.errors import InputError, told
from forgetwell.files import check_new, read_json, write_json
from forgetwell.models.lm import LM
from forgetwell.suites.probe import recalls
from forgetwell.types import Progress, Row, Turn, quiet

LEVELS = ("forget_level1", "forget_level2")
TRIPLES = 5  # arXiv 2506.00359, section 5: five independent triples
MAX_NEW_TOKENS = 16
_ASSETS = Path(__file__).parent / "assets"
_COLUMNS = ("target", "name", "recall", "blanks", "questions", "rows")


@dataclass(frozen=True)
class Known:
    """How well a model knows one target before unlearning.

    Attributes:
        target: RWKU's number, 1 … 200.
        name: Whom it is about.
        recall: Mean of the two levels.
        blanks: Mean ROUGE-L recall of level 1.
        questions: Mean ROUGE-L recall of level 2.
        rows: Probes asked.
    """

    target: int
    name: str
    recall: float
    blanks: float
    questions: float
    rows: int


@dataclass(frozen=True)
class Triple:
    """Whom one run forgets, whose texts it keeps, and on whom its utility is measured (RWKU's numbers)."""

    forget: int
    retain: int
    others: tuple[int, ...]


def asked_rows(split: str, targets: Sequence[int]) -> tuple[Row, ...]:
    """Return probes whose lead ("Answer in a few words.") is a system turn.

    A template then stands around the question alone, as a user would type it.
    """
    return tuple(_led(row) for row in probes(split, targets))


def _led(row: Row) -> Row:
    lead, _, query = row.prompt.partition("\n")
    return replace(row, prompt=query, history=(Turn("system", lead),))


def rank_targets(
    lm: LM,
    *,
    per_level: int = 0,
    targets: Sequence[int] = (),
    progress: Progress = quiet,
) -> tuple[Known, ...]:
    """Return all targets (or some), best known first.

    Args:
        lm: The model before unlearning.
        per_level: Probes of each level asked of a target at most, spread evenly; 0 = all.
        targets: RWKU's numbers; by default all 200.
        progress: Called with (targets done, targets).

    Raises:
        MissingError: FORGETWELL_DATA names no folder with RWKU.
        InputError: `per_level` is negative.
    """
    names = all_targets()
    chosen = tuple(targets) or tuple(names)
    found = []
    for done, number in enumerate(chosen, 1):
        found.append(_known(lm, number, names[number], per_level or None))
        progress(done, len(chosen))
    return tuple(sorted(found, key=lambda k: (-k.recall, k.target)))


def _known(lm: LM, number: int, name: str, per_level: int | None) -> Known:
    levels = [thinned(asked_rows(split, [number]), per_level) for split in LEVELS]
    values = iter(recalls(lm, [r for rows in levels for r in rows], max_new_tokens=MAX_NEW_TOKENS))
    blanks, questions = (round(statistics.fmean(next(values) for _ in rows), 4) for rows in levels)
    return Known(number, name, round((blanks + questions) / 2, 4), blanks, questions, sum(map(len, levels)))


def read_choice(source: str) -> tuple[Known, ...]:
    """Read what this command wrote: a file, or the name of a choice that ships (smollm2).

    Raises:
        MissingError: There is no such file.
        InputError: It isn't a choice, or has too few targets.
    """
    path = Path(source) if Path(source).suffix == ".json" else _ASSETS / f"rwku-{source}.json"
    if not path.is_file():
        ships = ", ".join(sorted(p.stem.removeprefix("rwku-") for p in _ASSETS.glob("rwku-*.json")))
        raise InputError(
            f"There is no choice of RWKU targets {source!r}; {ships} ships. Make one for your model: "
            f"python -m forgetwell.experiments.rwku_choice --model MODEL --out choice.json"
        )
    content = read_json(path)
    ranking = content.get("ranking") if isinstance(content, Mapping) else None
    try:
        known = tuple(Known(**{c: line[c] for c in _COLUMNS}) for line in ranking or ())
    except (KeyError, TypeError):
        raise InputError(f"{path}: a line of 'ranking' lacks one of {', '.join(_COLUMNS)}.") from None
    if len(known) < 3 * TRIPLES:
        raise InputError(f"{path} ranks {len(known)} targets; {TRIPLES} triples need {3 * TRIPLES}.")
    return known


def pick(known: Sequence[Known], triple: int) -> Triple:
    """Return the triple of a number (from 1) by the rule of this module.

    Raises:
        InputError: There is no such triple.
    """
    if not 1 <= triple <= TRIPLES:
        raise InputError(f"triple={triple} was given; there are {TRIPLES}, numbered from 1.")
    ranks = [k.target for k in known]
    others = ranks[2 * TRIPLES : 3 * TRIPLES]
    return Triple(ranks[triple - 1], ranks[TRIPLES + triple - 1], tuple(others))


def texts(target: int) -> tuple[Row, ...]:
    """Return the passages about a target as plain text, those of 100 to 1,500 characters.

    Shorter ones are headings, longer ones would be cut: a scope sample holds two in one context.
    """
    from forgetwell.data.benchmarks import benchmark_file

    records = read_records(benchmark_file("rwku", "passage"), ("target_id", "subject", "text"))
    return tuple(
        Row(f"passage-{n}", "", r["text"], subject=str(r["subject"]), text=True)
        for n, r in records
        if r["target_id"] == target and 100 <= len(r["text"]) <= 1500
    )


def _say(done: int, targets: int) -> None:
    if done % 20 == 0 or done == targets:
        print(f"{done} of {targets} targets asked", flush=True)


app = App(name="python -m forgetwell.experiments.rwku_choice", help=__doc__)


@app.default
def main(
    *,
    model: str,
    out: Path,
    per_level: int = 0,
    among: str = "",
    best: int = 30,
    dtype: str = "auto",
    overwrite: bool = False,
) -> None:
    """Ask a model about targets of RWKU and write the ranking with its figures.

    Args:
        model: smollm2, a folder or a hub id.
        out: The ranking (.json), which plans name as rwku(choice=FILE).
        per_level: Probes of each level asked of a target at most; 0 = all (6,147 in sum).
        among: An earlier ranking, of which only the best are asked; by default all 200 targets are.
        best: How many of those.
        dtype: Compute type: auto, float32 or bfloat16.
        overwrite: Replace a file that is there.
    """
    from forgetwell.models.lm import load
    from forgetwell.runs.folder import versions

    check_new(out, overwrite=overwrite)
    targets = tuple(k.target for k in read_choice(among)[:best]) if among else ()
    lm = load(model, dtype=dtype)
    ranking = rank_targets(lm, per_level=per_level, targets=targets, progress=_say)
    made: dict[str, Any] = {"model": model, "digest": lm.digest, "dtype": dtype, "per_level": per_level}
    made |= {"among": [among, best]} if among else {}
    made |= {"max_new_tokens": MAX_NEW_TOKENS, "versions": versions()}
    write_json(out, {**made, "ranking": [asdict(k) for k in ranking]})
    for k in ranking[: 3 * TRIPLES]:
        print(f"{k.target:4}  {k.name:28} {k.recall:.3f}  blanks {k.blanks:.3f}  questions {k.questions:.3f}")
    print(f"Written: {out}")


if __name__ == "__main__":
    with told(app.name[0]):
        app()
