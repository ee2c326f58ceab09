"""The attacked requests on which screens and repairs are measured."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from forgetwell.data.row_files import write_rows
from forgetwell.experiments.screening_data import (
    Half,
    Material,
    Pool,
    divide_anew,
    honest_requests,
    make_background,
    other_rows,
)
from forgetwell.files import read_toml, write_text
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.frames import family_frames, family_words
from forgetwell.requests.screening import Evidence
from forgetwell.types import Request

FAMILIES: Mapping[Material, tuple[str, ...]] = {
    "questions": (
        "stealthy", "synonyms", "midsentence", "unlisted", "rotating", "paraphrased", "unseen", "adaptive",
        "foreign_frame", "punctuation", "casing", "epithet", "smuggle", "blending",
    ),
    "passages": ("stealthy", "half", "fifth", "words", "rotating", "midsentence", "smuggle"),
}  # fmt: skip
_ASSETS = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class AttackFiles:
    """What attacks read.

    Attributes:
        others: Rows of all subjects of a half, by data set, for `smuggle` and `blending`.
        phrasings: The report's phrasings, by family.
        openings: What opens the sentences of a passage: a file for each, and one with all of them last.
    """

    others: Mapping[str, Path]
    phrasings: Mapping[str, Path]
    openings: Sequence[Path] = ()


@dataclass(frozen=True)
class Attacked:
    """A request as it was, and as it came."""

    honest: Request
    attacked: Request


@dataclass(frozen=True)
class Lots:
    """The requests of one split. What they hold is drawn by half, split, family and rate."""

    half: Half
    split: int
    pool: Pool
    files: AttackFiles
    form: Material

    def requests(self, family: str, rate: float, count: int) -> Iterator[Attacked]:
        """Give as many attacked requests of a family with p = rate."""
        calls = passage_calls if self.form == "passages" else attack_calls
        call = calls(family, self.half, rate, self.files)
        rng = random.Random(f"{self.half}/{self.split}/{family}/{rate}")
        for i, (name, honest) in enumerate(honest_requests(self.pool, count, rng)):
            yield Attacked(honest, attack_request(honest, call(i, name), seed=1000 * self.split + i))


def open_split(
    half: Half, split: int, out: Path, *, polite: float, form: Material = "questions"
) -> tuple[Lots, Evidence]:
    """Return a split's requests, and what a provider knows: its background, a share of its questions polite.

    A background of passages holds nothing else.
    """
    background, pool = divide_anew(half, split, form)
    if form == "passages":
        usual = make_background(background, polite=0, general=0, seed=split)
    else:
        usual = make_background(background, polite=polite, seed=split)
    files = write_attack_files((background, pool), half, out)
    return Lots(half, split, pool, files, form), Evidence(usual)


def families_of(half: Half, form: Material = "questions") -> list[str]:
    """Return the attacks of a half: `unseen` belongs to the report alone."""
    return [f for f in FAMILIES[form] if half == "report" or f != "unseen"]


def passage_calls(family: str, half: Half, rate: float, files: AttackFiles) -> Callable[[int, str], str]:
    """Return, for request number and data set, the attack's call on passages in this half.

    ``half`` and ``fifth`` put the paper's word before so many of a passage's sentences, ``words`` another
    word, one for each request, before all of them, ``rotating`` these words in turn.
    """
    if family == "smuggle":
        return lambda i, name: f"smuggle(p={rate}, rows={str(files.others[name])!r})"
    if family == "midsentence":
        return attack_calls(family, half, rate, files)
    sentences = {"half": 0.5, "fifth": 0.2}.get(family, 1.0)

    def call(i: int, name: str) -> str:
        words = {"words": files.openings[i % (len(files.openings) - 1)], "rotating": files.openings[-1]}
        return f"stealthy(p={rate}, templates={str(words.get(family, 'rwku'))!r}, sentences={sentences})"

    return call


def attack_calls(family: str, half: Half, rate: float, files: AttackFiles) -> Callable[[int, str], str]:
    """Return, for request number and data set, the attack's call in this half.

    Words, forms and languages are the first half of ours in development, the second in the report. The
    report's phrasings of `paraphrased`, `rotating` and `adaptive` are the files given; `unseen` has its own.
    `unlisted` puts a word that no list of the screens has inside the question.
    """
    if family == "unlisted":
        unlisted = read_toml(_ASSETS / "unlisted_words.toml")[half]
        return lambda i, name: f"midsentence(p={rate}, word={unlisted[i % len(unlisted)]!r})"
    if family == "unseen":
        return lambda i, name: f"stealthy(p={rate}, templates={str(_ASSETS / 'unseen_phrasings.toml')!r})"
    if family in ("smuggle", "blending"):
        return lambda i, name: f"{family}(p={rate}, rows={str(files.others[name])!r})"
    if half == "report" and family in files.phrasings:
        attack = "adaptive" if family == "adaptive" else "paraphrased"
        return lambda i, name: f"{attack}(p={rate}, templates={str(files.phrasings[family])!r})"
    words = {
        "synonyms": "word",
        "midsentence": "word",
        "epithet": "word",
        "foreign_frame": "language",
        "punctuation": "form",
    }
    listed = {
        "synonyms": family_words("synonyms"),
        "midsentence": family_words("midsentence"),
        "epithet": family_words("epithet"),
        "foreign_frame": tuple(family_frames()["foreign"]),
        "punctuation": tuple(family_frames()["punctuation"]["forms"]),
    }.get(family, ())
    middle = len(listed) // 2
    own = listed[:middle] if half == "development" else listed[middle:]

    def call(i: int, name: str) -> str:
        extra = f", {words[family]}={own[i % len(own)]!r}" if own else ""
        return f"{family}(p={rate}{extra})"

    return call


def write_attack_files(pools: Sequence[Pool], half: Half, out: Path) -> AttackFiles:
    """Write what attacks read: phrasings, and the rows of all subjects of the half.

    Others are of the whole half, since one split of the world has too few people.
    """
    others = {name: out / f"others-{name}.jsonl" for name in pools[0].subjects}
    for name, path in others.items():
        subjects = {s: rows for pool in pools for s, rows in pool.subjects[name].items()}
        write_rows(path, other_rows(subjects))
    held_out = read_toml(_ASSETS / "held_out_frames.toml")
    phrasings = {family: out / f"phrasings-{family}.txt" for family in held_out}
    for family, path in phrasings.items():
        write_text(path, "\n".join(held_out[family]) + "\n")
    return AttackFiles(others, phrasings, _written_openings(half, out))


def _written_openings(half: Half, out: Path) -> list[Path]:
    listed = read_toml(_ASSETS / "text_frames.toml")[half]
    texts = [*listed, "\n".join(listed)]
    paths = [out / f"opening-{i}.txt" for i in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        write_text(path, text + "\n")
    return paths
