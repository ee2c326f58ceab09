"""RWKU's probes and utility sets as rows, each in the form that its metric needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from forgetwell.data.benchmarks import benchmark_file
from forgetwell.data.row_files import read_records
from forgetwell.errors import InputError, unknown_name
from forgetwell.types import Row, Turn

LETTERS = "ABCDEFGHIJ"
_BLANK = "Fill in the blank. Give the missing words alone.\n"
_BRIEF = "Answer in a few words.\n"

Record = dict[str, Any]


def rwku_targets(names: Sequence[str | int]) -> dict[int, str]:
    """Return ids and names of targets that are given by name or number.

    Raises:
        UnknownName: There is no such target.
        InputError: No target is given.
    """
    known = all_targets()
    if not names:
        raise InputError('No target was given; give names or numbers from 1 to 200, as "Stephen King" or 1.')
    return dict(_target(str(name), known) for name in names)


def all_targets() -> dict[int, str]:
    """Return the names of all 200 targets by number."""
    records = _records("forget_target", "target_id", "target")
    return {int(r["target_id"]): str(r["target"]) for _, r in records}


def probes(split: str, targets: Iterable[int]) -> tuple[Row, ...]:
    """Return the rows of ``forget_level1`` … ``neighbor_level2`` about some targets.

    Level 1 asks for the words of a blank; the others are questions. Rows of one target form a cluster.

    Source: Jin et al. (RWKU), arXiv 2406.10890, section 3; the wording around the probes is ours.
    """
    wanted = set(targets)
    records = _records(split, "target_id", "subject", "query", "answer")
    found = ((k, r) for k, r in records if r["target_id"] in wanted)
    lead = _BLANK if split.endswith("level1") else _BRIEF
    return tuple(
        Row(f"{split}-{k}", lead + r["query"], r["answer"], subject=str(r["subject"])) for k, r in found
    )


def triviaqa() -> tuple[Row, ...]:
    """Return TriviaQA questions; all right answers but the first are paraphrases."""
    return tuple(
        Row(f"triviaqa-{k}", _BRIEF + r["question"], r["answers"][0], paraphrases=tuple(r["answers"][1:]))
        for k, r in _records("utility_factuality_triviaqa", "question", "answers")
    )


def truthfulqa(kind: str) -> tuple[Row, ...]:
    """Return TruthfulQA as multiple choice; `kind` is ``mc1`` (one right choice) or ``mc2`` (several).

    The first right choice is the answer, further ones are paraphrases, the false ones are wrong answers. For
    the metrics ``choice_accuracy(by=sum)`` and ``mc2``.
    """
    rows = []
    for k, record in _records("utility_truthfulness_truthfulqa", "question", "mc1_targets", "mc2_targets"):
        options = record[f"{kind}_targets"]
        labelled = list(zip(options["choices"], options["labels"], strict=True))
        right, wrong = ([c for c, label in labelled if label == wanted] for wanted in (1, 0))
        row = Row(
            f"truthfulqa-{k}", record["question"], right[0], paraphrases=tuple(right[1:]), wrong=tuple(wrong)
        )
        rows.append(row)
    return tuple(rows)


def mmlu(shots: int = 5) -> tuple[Row, ...]:
    """Return MMLU with up to five solved questions of the same task as earlier turns; answers are letters."""
    solved = {
        r["task"]: _turns(r["examples"][: max(0, shots)])
        for _, r in _records("utility_general_mmlu_fewshot", "task", "examples")
    }
    return tuple(
        Row(
            f"mmlu-{k}",
            _choices(r),
            LETTERS[r["answer"]],
            subject=str(r["task"]),
            wrong=tuple(x for i, x in enumerate(LETTERS[: len(r["choices"])]) if i != r["answer"]),
            history=solved[r["task"]],
        )
        for k, r in _records("utility_general_mmlu", "task", "question", "choices", "answer")
    )


def bbh() -> tuple[Row, ...]:
    """Return BIG-Bench Hard, asked for the answer alone, so that exact match can be read.

    RWKU prompts for a chain of thought and cuts the answer out of it; scores are not comparable with its.
    """
    return tuple(
        Row(f"bbh-{k}", f"{r['question']}\nGive the answer alone.", str(r["answer"]), subject=str(r["task"]))
        for k, r in _records("utility_reason_bbh", "task", "question", "answer")
    )


def _target(name: str, known: dict[int, str]) -> tuple[int, str]:
    if name.isdigit() and int(name) in known:
        return int(name), known[int(name)]
    for number, target in known.items():
        if target.casefold() == name.casefold():
            return number, target
    raise unknown_name("target of rwku", name, known.values())


def _turns(examples: Sequence[Record]) -> tuple[Turn, ...]:
    pairs = ((Turn("user", _choices(r)), Turn("assistant", LETTERS[r["answer"]])) for r in examples)
    return tuple(turn for pair in pairs for turn in pair)


def _choices(record: Record) -> str:
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, record["choices"], strict=False)]
    return "\n".join([record["question"], *lines, "Answer with the letter alone."])


def _records(split: str, *columns: str) -> list[tuple[int, Record]]:
    return read_records(benchmark_file("rwku", split), columns)
