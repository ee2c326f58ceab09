"""Other plausible answers to forget questions, for `altpo`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from forgetwell.errors import InputError
from forgetwell.files import digest
from forgetwell.models.lm import HFModel
from forgetwell.types import Progress, Row, quiet

_ROUNDS = 3
_ASK = "{question}\n\nInvent an answer in one sentence of the same form that is not true. Not: {answer}"


def add_alternates(
    lm: HFModel,
    rows: Sequence[Row],
    *,
    count: int = 5,
    trust: bool = False,
    temperature: float = 1.0,
    seed: int = 0,
    max_new_tokens: int = 60,
    progress: Progress = quiet,
) -> tuple[Row, ...]:
    """Return the rows with up to `count` alternative answers each, sampled from a model.

    What rows bring along, alternatives and focus, is left out: a requester who writes them chooses what
    `altpo` teaches and which words ``unwanted=facts`` unlearns. Empty answers, the true one and repeats are
    dropped, and sampled again at most twice, so that a row may end up with fewer. Text of a row stays text:
    it can't open a turn.

    Args:
        lm: Writes the answers.
        rows: Questions; plain text can't be answered.
        count: Alternatives wanted a row.
        trust: Keep what rows bring along, and write only the alternatives that are missing.
        temperature: Of sampling.
        seed: Of sampling; a row's answers depend on its id and the seed, not on the other rows.
        max_new_tokens: Length at which an answer is cut.
        progress: Called with (finished rounds, all rounds).

    Raises:
        InputError: A row is plain text, or none has an alternative in the end.

    Source: arXiv 2409.13474 samples 5 answers a question at temperature 1; the wording of the prompt is ours.
    """
    plain = next((r for r in rows if r.text), None)
    if plain is not None:
        raise InputError(f"Row {plain.id!r} is plain text; only questions have alternative answers.")
    found = [r if trust else replace(r, wrong=(), focus=()) for r in rows]
    for attempt in range(_ROUNDS):
        asked = [(i, k) for i, r in enumerate(found) for k in range(count - len(r.wrong))]
        if asked:
            prompts = [_prompt(rows[i]) for i, _ in asked]
            seeds = [_seed(rows[i].id, seed, attempt, k) for i, k in asked]
            said = lm.sample(prompts, max_new_tokens=max_new_tokens, seeds=seeds, temperature=temperature)
            for (i, _), text in zip(asked, said, strict=True):
                found[i] = _with(found[i], text)
        progress(attempt + 1, _ROUNDS)
    if not any(r.wrong for r in found):
        raise InputError("The model wrote no usable alternatives; try another model or a higher temperature.")
    return tuple(found)


def _prompt(row: Row) -> Row:
    return replace(row, prompt=_ASK.format(question=row.prompt, answer=row.answer))


def _seed(row: str, seed: int, attempt: int, k: int) -> int:
    return int(digest([row, seed, attempt, k])[:15], 16)


def _with(row: Row, text: str) -> Row:
    known = {t.casefold().strip(" .") for t in (row.answer, *row.paraphrases, *row.wrong, "")}
    return row if text.casefold().strip(" .") in known else replace(row, wrong=(*row.wrong, text))
