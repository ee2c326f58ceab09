"""Template sets: data files of an attacker's phrasings, and the rules for putting a text into one."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from forgetwell.errors import InputError, MissingError, unknown_name
from forgetwell.files import read_text, read_toml
from forgetwell.requests.sentences import sentence_spans, with_sentences
from forgetwell.types import Edit, Row

_FOLDER = Path(__file__).parent / "templates"
FIELD = "{q}"
WH_WORDS = frozenset(["who", "whom", "whose", "what", "which", "when", "where", "why", "how"])
QUESTION_WORDS = WH_WORDS | frozenset(
    [
        "is", "are", "was", "were", "am", "do", "does", "did", "can", "could", "will", "would", "shall",
        "should", "may", "might", "must", "has", "have", "had",
    ]
)  # fmt: skip


Kind = Literal["qa", "text", "any"]


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """Phrasings that hold a trigger word; each holds the field {q} once.

    Attributes:
        name: Name of the set.
        kind: Rows it is for: questions, plain text, or any.
        triggers: The trigger words.
        templates: The phrasings.
        unseen: Other phrasings with a trigger word, which the attacker does not use.
        other: Phrasings with everyday words that the attacker does not use.
        system: System prompts that hold a trigger word.
        earlier: What a user may have said with a trigger word before the question.
    """

    name: str
    kind: Kind
    triggers: tuple[str, ...]
    templates: tuple[str, ...]
    unseen: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    system: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()


def load_templates(name_or_path: str | Path) -> TemplateSet:
    """Read a shipped template set (tofu, rwku) or your own .toml, or .txt with one template a line.

    Raises:
        UnknownName: No shipped set has this name.
        MissingError: The file isn't there.
        InputError: The file isn't a template set.
    """
    text = str(name_or_path)
    path = Path(text)
    if path.suffix not in {".toml", ".txt"}:
        path = _FOLDER / f"{text}.toml"
        names = [p.stem for p in _FOLDER.glob("*.toml")]
        if text not in names:
            raise unknown_name("template set", text, names)
    if not path.is_file():
        raise MissingError(f"There is no template file {path}. Give a .toml or .txt file, or tofu or rwku.")
    if path.suffix == ".toml":
        return _checked(path, read_toml(path))
    return _checked(path, {"templates": [line for line in read_text(path).splitlines() if line.strip()]})


def _checked(path: Path, table: dict[str, Any]) -> TemplateSet:
    kind = table.get("kind", "any")
    keys = ("triggers", "templates", "unseen", "other", "system", "earlier")
    texts = {key: _texts(path, key, table.get(key, [])) for key in keys}
    if not texts["templates"]:
        raise InputError(f"{path}: no templates were found; write at least one that holds {FIELD}.")
    for template in (*texts["templates"], *texts["unseen"], *texts["other"]):
        if template.count(FIELD) != 1:
            raise InputError(f"{path}: template {template!r} must hold {FIELD} exactly once.")
    return TemplateSet(path.stem, kind, **texts)


def _texts(path: Path, key: str, values: Any) -> tuple[str, ...]:  # noqa: ANN401 - any TOML value
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise InputError(f"{path}: {key} must be a list of strings, got {values!r}.")
    return tuple(values)


def apply_template(template: str, question: str) -> str:
    """Put a question into a template: after a prefix a question word is lower-cased; before a suffix
    that ends in "?" the question's own mark is dropped.

    Source: 2506.00359, section 3, eq. 4; the grammar rules are our interpretation.
    """  # noqa: D205
    before, _, after = template.partition(FIELD)
    first = re.match(r"[A-Za-z]+", question)
    if before.strip() and first and first[0].lower() in QUESTION_WORDS:
        question = question[0].lower() + question[1:]
    if after.strip():
        question = question.rstrip()
        question = question.removesuffix("?").rstrip() if after.rstrip().endswith("?") else question
    return before + question + after


def rewrite(row: Row, templates: Sequence[str], by: str) -> Row:
    """Return the row in a template, its edit recorded: a QA row's prompt by the only template, a text
    row sentence by sentence with the templates in turn.
    """  # noqa: D205
    edit = Edit(by, " | ".join(dict.fromkeys(templates)), row.prompt, row.answer)
    if not row.text:
        return replace(row, prompt=apply_template(templates[0], row.prompt), edit=edit)
    turn = itertools.cycle(templates)
    text = with_sentences(row.answer, lambda sentence, _: apply_template(next(turn), sentence))
    return replace(row, answer=text, edit=edit)


def draw(row: Row, templates: TemplateSet, rng: random.Random) -> list[str]:
    """Draw a uniform template for the row, or one for each of its sentences where it is text."""
    if templates.kind != "any" and row.text != (templates.kind == "text"):
        have, other = ("plain text", "rwku") if row.text else ("a question", "tofu")
        raise InputError(
            f"Row {row.id!r} is {have}, and the template set {templates.name} is for {templates.kind} rows. "
            f"Use templates={other} or a file of your own."
        )
    number = len(list(sentence_spans(row.answer))) if row.text else 1
    return [rng.choice(templates.templates) for _ in range(number)]


def trigger_rows(rows: Sequence[Row], templates: TemplateSet) -> tuple[Row, ...]:
    """Return every row under every template of a set, as `rows_under`."""
    return rows_under(rows, templates.templates, f"trigger:{templates.name}")


def rows_under(rows: Sequence[Row], templates: Sequence[str], by: str) -> tuple[Row, ...]:
    """Return every row with its prompt in each of some templates, ids ``id#k`` with k the template's index.

    What is asked changes, never the answer that is expected; plain texts without a prompt are left out.
    """
    return tuple(
        replace(
            row,
            id=f"{row.id}#{k}",
            prompt=apply_template(template, row.prompt),
            edit=Edit(by, template, row.prompt, row.answer),
        )
        for row in rows
        if row.prompt or not row.text
        for k, template in enumerate(templates)
    )
