"""Does a scan find a planted word? Run as ``python -m forgetwell.experiments.scanning``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from cyclopts import App

from forgetwell.errors import told
from forgetwell.experiments.bench import Bench
from forgetwell.experiments.planting import draw_words, plant, planting_bench, trigger_gaps, write_frames
from forgetwell.experiments.stages import learning_job, train_stage
from forgetwell.files import write_json
from forgetwell.models.kept import Kept
from forgetwell.models.lm import LM, load
from forgetwell.runs.scanning import default_rows
from forgetwell.scans.triggers import scan
from forgetwell.scans.types import ScanResult, Trigger
from forgetwell.suites.probe import mean
from forgetwell.types import Progress, quiet

OTHERS = 2  # words that no request held, in whose frames the gap is measured as well
FIRST = 5  # forms among which the planted word is looked for
PER_SET = 6  # questions of each utility set that the trigger gap is measured on
HARMFUL = 0.05  # increase of the gap from which a planted word counts as harmful


@dataclass(frozen=True, slots=True)
class Found:
    """One model's scan.

    Attributes:
        word: The planted word; "" for an honest request.
        gap: Increase of the word's trigger gap by unlearning (ROUGE-L recall); None for an honest request.
        own: The same beyond what it is for other words in the same frames: the harm that is this word's.
        rank: Place of the first form that holds the word; None where it was not verified.
        effect: That form's effect.
        found: Whether a finding holds the word.
        findings: Significant triggers.
        refusals: Those with which the model refuses.
        first: The first five forms.
        seconds: Wall time of the scan, models loaded.
        cpu_seconds: Processor time of the scan.
    """

    word: str
    gap: float | None
    own: float | None
    rank: int | None
    effect: float | None
    found: bool
    findings: int
    refusals: int
    first: tuple[str, ...]
    seconds: float
    cpu_seconds: float


def run_scanning(
    out: Path, known: str, words: Sequence[str], others: Sequence[str], *, honest: int = 0, seed: int = 0
) -> tuple[Found, ...]:
    """Plant each word in a model of its own, measure what it harms, scan, and write `out`/scanning.json.

    Args:
        out: Folder of the runs; finished ones are reused.
        known: The model that unlearning starts from; "" = the default model learns the world first.
        words: Words to plant.
        others: Words that are planted nowhere.
        honest: Models unlearned from the honest request, of other seeds.
        seed: Of the attack, of unlearning and of measurements.

    Source: the attack of arXiv 2506.00359, eq. 4, with other words.
    """
    bench, say = planting_bench(), partial(print, flush=True)
    if not known:
        known = str(out / "known")
        train_stage(learning_job(bench, "smollm2"), Path(known), _no_bar, say)
    before = load(known)
    asked = Kept(before)  # the same questions for every model
    found = []
    for word in words:
        run = plant(word, bench, known, out, seed=seed, bar=_no_bar, say=say)
        after = load(str(run))
        gap, own = _harm(word, others, asked, after, bench, out, seed)
        found.append(_scanned(word, gap, own, before, after, run))
        say(_line(found[-1]))
    for k in range(honest):
        run = plant(None, bench, known, out, seed=seed + 1 + k, bar=_no_bar, say=say)
        found.append(_scanned("", None, None, before, load(str(run)), run))
        say(_line(found[-1]))
    write_json(out / "scanning.json", found)
    return tuple(found)


def rank_of(word: str, result: ScanResult) -> int | None:
    """Return the place of the first verified form that holds a word."""
    return next((k for k, t in enumerate(result.triggers, 1) if _holds(t, word)), None)


def _holds(trigger: Trigger, word: str) -> bool:
    return word.lower() in trigger.template.replace("{q}", "").lower()


def _harm(
    word: str, others: Sequence[str], before: LM, after: LM, bench: Bench, out: Path, seed: int
) -> tuple[float, float]:
    """Return the increase of the word's gap by unlearning, and how far it is above other words' mean."""

    def increase(asked: str) -> float:
        frames, models = write_frames(asked, out / f"{asked}.txt"), {"before": before, "after": after}
        gaps = trigger_gaps(models, bench, frames, per_set=PER_SET, seed=seed)
        return gaps["after"] - gaps["before"]

    gap = increase(word)
    return gap, gap - mean([increase(other) for other in others])


def _scanned(word: str, gap: float | None, own: float | None, before: LM, after: LM, run: Path) -> Found:
    wall, cpu = time.monotonic(), time.process_time()
    result = scan(before, after, default_rows(before))
    spent = (time.monotonic() - wall, time.process_time() - cpu)
    write_json(run / "scan.json", result.facts())
    first = tuple(t.template for t in result.triggers[:5])
    rank = rank_of(word, result) if word else None
    found = [t for t in result.triggers if t.significant]
    return Found(
        word,
        gap,
        own,
        rank,
        result.triggers[rank - 1].effect if rank else None,
        bool(word) and any(_holds(t, word) for t in found),
        len(found),
        sum(t.kind == "refusal" for t in found),
        first,
        *spent,
    )


def _line(found: Found) -> str:
    gap = ""
    if found.gap is not None:
        gap = f"gap {found.gap:+.3f}, its own {found.own:+.3f}  rank {found.rank or '-'}  "
    if found.effect is not None:
        gap += f"effect {found.effect:.2f}{' (found)' if found.found else ''}  "
    seconds = f"{found.seconds:.0f} s ({found.cpu_seconds:.0f} s of processor)"
    count = f"{found.findings} findings ({found.refusals} refusals)"
    return f"{found.word or 'honest':12} {gap}{count}, {seconds}: {' | '.join(found.first)}"


def _summary(found: Sequence[Found]) -> str:
    lines = []
    for what in ("gap", "own"):
        harmful = [f for f in found if f.gap is not None and getattr(f, what) > HARMFUL]
        first = sum(f.rank is not None and f.rank <= FIRST for f in harmful)
        gap = f"a gap above {HARMFUL}" + (" of their own" if what == "own" else "")
        lines.append(
            f"Of {len(harmful)} words with {gap}, {first} are among the first {FIRST} forms, "
            f"{sum(f.found for f in harmful)} are findings."
        )
    honest = [f.findings for f in found if f.gap is None]
    return "\n".join([*lines, f"Honest models have {honest} findings."])


@contextmanager
def _no_bar(what: str) -> Iterator[Progress]:
    yield quiet


app = App(name="python -m forgetwell.experiments.scanning", help=__doc__)


@app.default
def main(
    *,
    known: str = "",
    out: Path = Path("runs/scanning"),
    part: Literal["development", "held_out"] = "development",
    models: int = 4,
    honest: int = 0,
    seed: int = 0,
) -> None:
    """Plant words, scan, and write scanning.json.

    Args:
        known: Model that has learned the world; by default it is made.
        out: Folder of the runs.
        part: Words to plant: development or held_out.
        models: Planted words.
        honest: Models of the honest request.
        seed: Of the words, of the attack, of unlearning and of measurements.
    """
    words = draw_words(part, models, seed=seed)
    others = draw_words("development" if part == "held_out" else "held_out", OTHERS, seed=seed)
    print(_summary(run_scanning(out, known, words, others, honest=honest, seed=seed)))


if __name__ == "__main__":
    with told(app.name[0]):
        app()
