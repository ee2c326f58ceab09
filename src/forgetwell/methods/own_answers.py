"""What a model itself answers to prompts: the rows on which it is to stay as it is."""

from __future__ import annotations

from collections.abc import Sequence

from forgetwell.errors import InputError
from forgetwell.models.lm import LM
from forgetwell.models.progress import Tally
from forgetwell.types import Progress, Row, quiet

LONGEST = 24  # tokens of an answer


def own_answers(
    lm: LM,
    rows: Sequence[Row],
    *,
    max_new_tokens: int = LONGEST,
    progress: Progress = quiet,
) -> tuple[Row, ...]:
    """Return the rows with the model's greedy answers in place of theirs, for a divergence such as `klr`.

    Answers may be wrong or cut: a divergence on them holds the model where it is, it doesn't teach them.
    Prompts to which the model says nothing are left out.

    Args:
        lm: The model before it is trained.
        rows: Prompts; their answers are not read.
        max_new_tokens: Length at which an answer is cut.
        progress: Called with the prompts answered, and all of them.

    Raises:
        InputError: A row is plain text, or the model answers none.

    Source: sequence-level distillation from the model's own greedy answers, Kim and Rush, arXiv 1606.07947,
    section 3.2, here from the starting model to itself.
    """
    plain = next((r for r in rows if r.text), None)
    if plain is not None:
        raise InputError(f"Row {plain.id!r} is plain text; only prompts can be answered.")
    said = lm.generate(rows, max_new_tokens=max_new_tokens, progress=Tally(progress, len(rows)))
    answered = [(row, s.text.strip()) for row, s in zip(rows, said, strict=True)]
    found = tuple(row.answered(text) for row, text in answered if text)
    if not found:
        raise InputError("The model answers none of the prompts; give others, or another model.")
    return found


def check_kept(prompts: Sequence[Row], rows: Sequence[Row]) -> None:
    """Refuse a prompt to keep that a row to forget or to learn asks, also as it was before an attack.

    Raises:
        InputError: Some prompt is both.
    """
    asked = {prompt for r in rows for prompt in (r.prompt, r.edit.prompt if r.edit else r.prompt)}
    both = [row for row in prompts if row.prompt in asked]
    if both:
        raise InputError(
            f"{len(both)} of {len(prompts)} prompts to keep are also asked by rows to forget or to learn (the"
            f" first is {both[0].prompt!r}): the model can't stay at its own answers there. Take them out of "
            "one of the two."
        )
