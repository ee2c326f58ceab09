"""Parts of a record that cost a pass of their own, made only where a metric reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from forgetwell.data.encoding import Codec
from forgetwell.errors import InputError
from forgetwell.models.lm import LM, HFModel
from forgetwell.types import Record, Row, TokenScores

Records = Mapping[str, tuple[Record, ...]]


def with_start(records: Records, start: LM) -> dict[str, tuple[Record, ...]]:
    """Add what the model before unlearning thinks of each generated answer, its end token left out.

    Of an answer that doesn't fit behind its prompt together with that token, what fits is scored.
    """
    said = {
        _said(r): _fitting(replace(r.row, answer=r.generated.text), start.codec)
        for r in _all(records)
        if r.generated is not None and r.generated.text.strip()
    }
    asked = {key: row for key, row in said.items() if row.answer}
    scored = start.score(list(asked.values()))
    scores = {key: _without_end(row, s) for (key, row), s in zip(asked.items(), scored, strict=True)}
    return _each(records, lambda record: replace(record, start=scores.get(_said(record))))


def with_gradients(records: Records, lm: LM) -> dict[str, tuple[Record, ...]]:
    """Add the norm of each answer's loss gradient.

    Raises:
        InputError: The model gives no gradients.
    """
    from forgetwell.models.gradients import gradient_norms

    if not isinstance(lm, HFModel):
        raise InputError(f"The model {lm.name} gives no gradients; leave gradient_norm out.")
    rows: dict[tuple[str, ...], Row] = {_key(r.row): r.row for r in _all(records)}
    norms = dict(zip(rows, gradient_norms(lm, list(rows.values())), strict=True))
    return _each(records, lambda record: replace(record, gradient=norms[_key(record.row)]))


def _said(record: Record) -> tuple[str, ...]:
    said = record.generated
    return _key(replace(record.row, answer=said.text if said else ""))


def _fitting(row: Row, codec: Codec) -> Row:
    """Return the row with as much of its answer as fits, perhaps nothing."""
    text = row.answer
    while text and (over := codec.length(replace(row, answer=text)) - codec.max_length) > 0:
        spans = codec.spans(text)
        text = text[: spans[max(len(spans) - over, 0)][0]]
    return replace(row, answer=text)


def _key(row: Row) -> tuple[str, ...]:
    turns = (part for turn in row.history for part in (turn.role, turn.content))
    return (row.prompt, row.answer, str(row.text), *turns)


def _all(records: Records) -> Sequence[Record]:
    return [record for split in records.values() for record in split]


def _each(records: Records, add: Callable[[Record], Record]) -> dict[str, tuple[Record, ...]]:
    return {key: tuple(map(add, split)) for key, split in records.items()}


def _without_end(row: Row, scores: TokenScores) -> TokenScores:
    """Return scores without the end token's, which plain text hasn't."""
    if row.text or len(scores.logps) == 1:
        return scores
    return TokenScores(scores.logps[:-1], scores.top1[:-1])
