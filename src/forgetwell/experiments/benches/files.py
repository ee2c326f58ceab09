"""Rows of one's own as a bench."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from forgetwell.data.reading import read_request, read_rows
from forgetwell.errors import InputError
from forgetwell.experiments.bench import Bench, bench
from forgetwell.training.config import TrainConfig
from forgetwell.types import Row


@bench(paper="2506.00359")
def files(
    *,
    request: str,
    retain: tuple[str, ...],
    utility: tuple[str, ...],
    learn: tuple[str, ...] = (),
    others: tuple[str, ...] = (),
    questions: tuple[str, ...] = (),
    lr: float = 5e-5,
    epochs: int = 6,
    batch: int = 16,
    templates: str = "tofu",
    max_new_tokens: int = 40,
) -> Bench:
    """Return rows of one's own: ``files(request='f.jsonl', retain=['k.jsonl'], utility=['u.jsonl'])``.

    Whatever `read_rows` reads: files, and names as ``tofu:retain90`` or ``world:evaluation``.

    Args:
        request: Rows to forget, before any attack.
        retain: Rows that unlearning may train on to keep.
        utility: Rows on which utility is measured, a set each, called after the file.
        learn: Rows that the starting model learns first; none = it is taken as it is.
        others: Rows about still others, for screening, and for training that goes on after unlearning.
        questions: What measures forgetting, where the request is plain text, which can't be asked.
        lr: Learning rate of learning.
        epochs: Passes over `learn`.
        batch: Rows a step of learning.
        templates: Template set of trigger utility: tofu, rwku or a file.
        max_new_tokens: Length of answers.

    Raises:
        MissingError: There is no such file.
        InputError: A file can't be used, two utility sets have one name, or plain text is to be asked.

    Source: the protocol of arXiv 2506.00359, section 5, on other data.
    """
    sets = {_name(source): read_rows(source) for source in utility}
    if len(sets) < len(utility) or not sets:
        raise InputError(
            f"utility={list(utility)} was given; expected one file or more, each of another name."
        )
    forget, asked = read_request(request).rows, _rows(questions)
    for name, rows in ((request, asked or forget), *sets.items()):
        if any(row.text for row in rows):
            raise InputError(f"{name} holds plain text, which can't be asked. Give questions=['…'] about it.")
    return Bench(
        "files",
        _rows(learn),
        TrainConfig(lr=lr, epochs=epochs, batch=batch),
        forget,
        _rows(retain),
        sets,
        max_new_tokens,
        _rows(others),
        questions=asked,
        templates=templates,
    )


def _rows(sources: Sequence[str]) -> tuple[Row, ...]:
    return tuple(row for source in sources for row in read_rows(source))


def _name(source: str) -> str:
    return Path(source).name.split(".")[0].replace(":", "-")
