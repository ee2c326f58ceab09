"""Asking a model a suite: every distinct text is scored once, every distinct prompt answered once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from forgetwell.files import sha256
from forgetwell.models.lm import LM
from forgetwell.models.processes import Processes
from forgetwell.models.progress import Tally
from forgetwell.suites.cache import Cache
from forgetwell.suites.types import Split, Suite
from forgetwell.types import Generation, Progress, Record, Row, TokenScores, quiet

ROUND = 256  # texts that a process scores or answers before they are kept
ALONE = Processes()

Said = TypeVar("Said", TokenScores, Generation)


def ask(
    lm: LM,
    suite: Suite,
    wanted: Collection[str],
    *,
    cache: Cache | None = None,
    processes: Processes = ALONE,
    progress: Progress = quiet,
) -> dict[str, tuple[Record, ...]]:
    """Return every split's records, with the parts that metrics want and no others.

    Texts are asked in rounds of neighbours, so that what they share is computed once; after each round its
    records go to the cache. What the cache knows is not asked again. With several processes each takes its
    part of a round, and all return the same records.

    Args:
        lm: The model.
        suite: What to ask.
        wanted: Parts of a `Record`, and "moments" where token scores need mean and deviation.
        cache: Records from before, and where to keep new ones; only the first process writes.
        processes: This process among those that ask together.
        progress: Called with the number of texts scored or answered so far, and of all.
    """
    plan, moments = _plan(suite, wanted), "moments" in wanted
    work = _Work(cache or Cache(None), processes, Tally(progress, plan.size))
    score = partial(lm.score, moments=moments)
    scores = work.do(plan.texts, score, TokenScores, lambda said: bool(said.mean) or not moments)
    answers: dict[str, Generation] = {}
    for longest, prompts in plan.prompts.items():
        generate = partial(lm.generate, max_new_tokens=longest)
        answers |= work.do(prompts, generate, Generation, lambda said: True)
    return {s.key: _records(s, suite, wanted, scores, answers) for s in suite.splits}


@dataclass(frozen=True)
class _Plan:
    """What has to be asked: texts by key, and prompts by key for each length of answers."""

    texts: dict[str, Row] = field(default_factory=dict)
    prompts: dict[int, dict[str, Row]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.texts) + sum(map(len, self.prompts.values()))


def _plan(suite: Suite, wanted: Collection[str]) -> _Plan:
    plan = _Plan()
    for split in suite.splits:
        longest = _longest(split, suite)
        for row in split.rows:
            for answer in _answers(row, split, wanted):
                plan.texts.setdefault(_scored(row, answer), replace(row, answer=answer))
            if "generated" in wanted and _answerable(row, split):
                plan.prompts.setdefault(longest, {}).setdefault(_asked(row, longest), row)
    return plan


@dataclass(frozen=True)
class _Work:
    """Rounds of asking, counted for the progress bar."""

    cache: Cache
    processes: Processes
    tell: Tally

    def do(
        self,
        rows: Mapping[str, Row],
        compute: Callable[..., list[Said]],
        kind: type[Said],
        enough: Callable[[Said], bool],
    ) -> dict[str, Said]:
        """Return what the model says to each row: from the cache where that holds enough, else computed."""
        found = {k: s for k in rows if isinstance(s := self.cache.known.get(k), kind) and enough(s)}
        known: dict[str, Said] = self.processes.same(found)
        self.tell(len(known))
        todo = sorted(rows.keys() - known.keys(), key=lambda k: _order(rows[k]))
        for part in _rounds(todo, self.processes):
            said = compute([rows[k] for k in part], progress=self.tell) if part else []
            known |= self._kept(dict(zip(part, said, strict=True)))
        return known

    def _kept(self, mine: dict[str, Said]) -> dict[str, Said]:
        """Return a round's records of all processes, kept by the first."""
        everyone = dict(self.processes.gather(list(mine.items())))
        if self.processes.first:
            self.cache.keep(everyone)
        self.tell(len(everyone) - len(mine))
        return everyone


def _rounds(keys: Sequence[str], processes: Processes) -> Iterator[Sequence[str]]:
    """Give this process's part of each round; neighbours stay together."""
    size = ROUND * processes.count
    for part in (keys[start : start + size] for start in range(0, len(keys), size)):
        share = -(-len(part) // processes.count)
        yield part[share * processes.index : share * (processes.index + 1)]


def _order(row: Row) -> tuple[list[tuple[str, str]], str, str]:
    """Return a key that sorts rows with a common start next to each other."""
    return [(t.role, t.content) for t in row.history], row.prompt, row.answer


def _records(
    split: Split,
    suite: Suite,
    wanted: Collection[str],
    scores: Mapping[str, TokenScores],
    answers: Mapping[str, Generation],
) -> tuple[Record, ...]:
    longest = _longest(split, suite)

    def of(row: Row, texts: Sequence[str]) -> tuple[TokenScores, ...]:
        return tuple(scores[_scored(row, text)] for text in texts)

    return tuple(
        Record(
            row,
            answer=of(row, [row.answer])[0] if "answer" in wanted else None,
            paraphrase=of(row, _paraphrases(row, split, wanted)) or None,
            wrong=of(row, _wrong(row, split, wanted)) or None,
            generated=answers.get(_asked(row, longest)),
        )
        for row in split.rows
    )


def _answers(row: Row, split: Split, wanted: Collection[str]) -> tuple[str, ...]:
    own = (row.answer,) if "answer" in wanted else ()
    return own + _paraphrases(row, split, wanted) + _wrong(row, split, wanted)


def _paraphrases(row: Row, split: Split, wanted: Collection[str]) -> tuple[str, ...]:
    if not split.scores_choices or "paraphrase" not in wanted:
        return ()
    return row.paraphrases or ((row.answer,) if row.wrong else ())


def _wrong(row: Row, split: Split, wanted: Collection[str]) -> tuple[str, ...]:
    return row.wrong if split.scores_choices and "wrong" in wanted else ()


def _scored(row: Row, answer: str) -> str:
    """Return the key of a text's scores."""
    return sha256(["score", row.prompt, row.history, row.text, answer])


def _asked(row: Row, longest: int) -> str:
    """Return the key of a prompt's answer."""
    return sha256(["answer", row.prompt, row.history, row.text, longest])


def _longest(split: Split, suite: Suite) -> int:
    return split.max_new_tokens or suite.max_new_tokens


def _answerable(row: Row, split: Split) -> bool:
    return split.answered and (bool(row.prompt) or not row.text)
