"""Honest and attacked requests on which screens are measured, with backgrounds of other subjects."""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from forgetwell.data.reading import read_rows
from forgetwell.data.world import load_world
from forgetwell.errors import MissingError
from forgetwell.files import read_jsonl
from forgetwell.requests.template_sets import apply_template
from forgetwell.types import Request, Row

Half = Literal["background", "development", "report"]
Material = Literal["questions", "passages"]
Subjects = Mapping[str, tuple[Row, ...]]

SETS: Mapping[Material, tuple[str, ...]] = {"questions": ("tofu", "rwku", "world"), "passages": ("rwku",)}
_PASSAGES = 20  # of a subject
_SHARES = {"background": 0.3, "development": 0.25, "report": 0.45}
_GENERAL = (
    "rwku/utility_factuality_triviaqa.jsonl",
    "rwku/utility_truthfulness_truthfulqa.jsonl",
    "general/nq_open_dev_500.jsonl",
    "general/arc_easy_test_500.jsonl",
    "tofu/real_authors.jsonl",
    "tofu/world_facts.jsonl",
)

# How polite people write, a writer a line; all of ours, none taken from the attacks' data. A writer uses
# the line's phrasings throughout.
POLITE: tuple[tuple[str, ...], ...] = (
    ("Could you please tell me {q}", "{q} Please tell me."),
    ("{q} Thank you!", "{q} Thanks."),
    ("I would be grateful if you could say {q}",),
    ("Hello, {q} Thanks a lot!",),
    ("Please, {q}", "Please answer: {q}"),
    ("Would you be so kind as to tell me {q}",),
    ("May I ask {q}",),
    ("Excuse me, {q}",),
    ("I'd appreciate it if you told me {q}",),
    ("Kindly tell me {q}",),
    ("Can you please explain {q}",),
    ("{q}, please?",),
)


@dataclass(frozen=True)
class Pool:
    """Subjects with their rows, by data set, of one half of the data; no subject is in two halves."""

    half: Half
    subjects: Mapping[str, Subjects]


def load_pool(half: Half, form: Material = "questions", *, seed: int = 0) -> Pool:
    """Return TOFU's authors, RWKU's targets (level 2) and the world's people that belong to a half.

    Of the form ``passages``, 20 of RWKU's passages about each target, by lot.

    Raises:
        MissingError: FORGETWELL_DATA names no folder with TOFU and RWKU.

    Source: arXiv 2401.06121, arXiv 2406.10890, the built-in world.
    """
    rows = _passages(seed) if form == "passages" else _questions_about()
    return Pool(half, {name: _half(by_subject(rows[name]), half, f"{seed}/{name}") for name in SETS[form]})


def _passages(seed: int) -> dict[str, Sequence[Row]]:
    lot = {
        name: random.Random(f"{seed}/{name}").sample(rows, min(_PASSAGES, len(rows)))
        for name, rows in by_subject(read_rows("rwku:passage")).items()
    }
    return {"rwku": list(chain.from_iterable(lot.values()))}


def _questions_about() -> dict[str, Sequence[Row]]:
    world = load_world()
    people = [
        replace(row, id=f"{row.id}~{k}", prompt=question, questions=())
        for row in (*world.request, *world.retain, *world.unseen, *world.never)
        for k, question in enumerate((row.prompt, *row.questions))
    ]
    return {"tofu": read_rows("tofu:full"), "rwku": read_rows("rwku:forget_level2"), "world": people}


def by_subject(rows: Sequence[Row]) -> Subjects:
    """Return the rows about each subject, in their order."""
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.subject].append(row)
    return {name: tuple(own) for name, own in found.items()}


def divide_anew(half: Half, split: int, form: Material = "questions") -> tuple[Pool, Pool]:
    """Return a background's subjects and requests' subjects, divided anew inside one half of the data.

    The report half divides its own subjects; development divides its own and the background's. So splits of
    one half share subjects, and no split of development shares one with a split of the report. Every
    background has as many subjects as the undivided one, 30 % of all.

    Raises:
        MissingError: FORGETWELL_DATA names no folder with TOFU and RWKU.
    """
    parts: Sequence[Half] = ("report",) if half == "report" else ("background", "development")
    pools = [load_pool(part, form).subjects for part in parts]
    usual = load_pool("background", form).subjects
    first, rest = {}, {}
    for name in SETS[form]:
        own = {n: rows for pool in pools for n, rows in pool[name].items()}
        names = sorted(own)
        random.Random(f"{half}/{split}/{name}").shuffle(names)
        count = len(usual[name])
        first[name] = {n: own[n] for n in names[:count]}
        rest[name] = {n: own[n] for n in names[count:]}
    return Pool("background", first), Pool(half, rest)


def make_background(
    subjects: Pool | None = None, *, polite: float = 0.05, general: int = 2000, seed: int = 0
) -> tuple[Row, ...]:
    """Return ordinary prompts: rows of the background's subjects and general questions, a share polite.

    Each prompt is of a user of its own, so polite ones are spread over all; a polite prompt has the phrasing
    of a writer drawn by lot. Subjects are those of the shipped division unless given.
    """
    rng = random.Random(seed)
    pool = subjects or load_pool("background")
    rows = [
        *chain.from_iterable(chain.from_iterable(s.values() for s in pool.subjects.values())),
        *_general(general, rng),
    ]
    named = [replace(row, id=f"b{i}") for i, row in enumerate(rows)]
    return as_users_write(named, rng, polite=polite)


def honest_request(subjects: Subjects, rng: random.Random, *, rows: int = 40) -> Request:
    """Return a request of `rows` rows about whole subjects pooled by lot, the largest cut to fit."""
    names = sorted(subjects)
    rng.shuffle(names)
    chosen: list[list[Row]] = []
    while sum(map(len, chosen)) < rows and names:
        own = list(subjects[names.pop()])
        chosen.append(own)
    while sum(map(len, chosen)) > rows:
        longest = max(chosen, key=len)
        longest.pop(rng.randrange(len(longest)))
    return Request("honest", tuple(chain.from_iterable(chosen)))


def honest_requests(pool: Pool, count: int, rng: random.Random) -> Iterator[tuple[str, Request]]:
    """Give (data set, request): TOFU and RWKU in turn, where there are both, a tenth from the world."""
    large = [name for name in pool.subjects if name != "world"]
    for i in range(count):
        name = "world" if i % 10 == 9 and "world" in pool.subjects else large[i % len(large)]
        yield name, honest_request(pool.subjects[name], rng)


def as_users_write(rows: Sequence[Row], rng: random.Random, *, polite: float) -> tuple[Row, ...]:
    """Return the rows with a share polite, each in the phrasing of a writer drawn by lot."""
    return tuple(_phrased(r, rng.choice(POLITE), rng) if rng.random() < polite else r for r in rows)


def politely(request: Request, rng: random.Random, *, share: float = 0.9) -> Request:
    """Return the request as one polite writer words it: most rows in phrasings of one style."""
    style = rng.choice(POLITE)
    rows = tuple(_phrased(r, style, rng) if rng.random() < share else r for r in request.rows)
    return replace(request, rows=rows)


def other_rows(subjects: Subjects) -> tuple[Row, ...]:
    """Return the rows of all subjects, for attacks that bring rows of other people in."""
    rows = chain.from_iterable(subjects.values())
    return tuple(replace(row, id=f"other-{i}", subject="") for i, row in enumerate(rows))


def _phrased(row: Row, style: Sequence[str], rng: random.Random) -> Row:
    return replace(row, prompt=apply_template(rng.choice(style), row.prompt))


def _half(subjects: Subjects, half: Half, seed: str) -> Subjects:
    names = sorted(subjects)
    random.Random(seed).shuffle(names)
    first = 0
    for name, share in _SHARES.items():
        last = len(names) if name == "report" else first + int(share * len(names))
        if name == half:
            return {n: subjects[n] for n in names[first:last]}
        first = last
    raise AssertionError(half)


def _general(count: int, rng: random.Random) -> list[Row]:
    given = os.environ.get("FORGETWELL_DATA")
    if not given:
        raise MissingError("Set FORGETWELL_DATA to a folder that holds tofu/, rwku/ and general/.")
    questions = list(_questions(Path(given)))
    return rng.sample(questions, min(count, len(questions)))


def _questions(root: Path) -> Iterator[Row]:
    for name in _GENERAL:
        for i, record in enumerate(read_jsonl(root / name)):
            yield Row(f"{name}-{i}", str(record["question"]), json.dumps(record.get("answer", "-")))
