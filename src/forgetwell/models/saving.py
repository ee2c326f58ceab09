"""Saving models as ordinary Hugging Face folders with a model card."""

from __future__ import annotations

import html
import json
import math
import re
import stat
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetwell.errors import ExistsError, ForgetwellError
from forgetwell.files import WriteFailed, is_taken, plain, write_text

_LIMITS = (
    "Unlearning lowers what the model shows of the forgotten rows; it does not prove that nothing is left. "
    "Rephrased questions, further training or changes to the weights can bring it back."
)
_OF_NUMBERS = (
    "The numbers above are means over a small sample, by the last probe; they hold for the rows and settings "
    "they were measured with."
)
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~$:-])")


@dataclass(frozen=True)
class ModelCard:
    """What a saved model's README says of how it was made.

    Attributes:
        base: Name of the model that training started from.
        objective: The objective as it was given.
        settings: Hyperparameters by name.
        digests: Of inputs (base, request, …) by name.
        ending: How training ended: steps, why it stopped and, where they aren't the last step's, whose
            weights these are.
        probe: What the last probe measured, by name; nothing without one.
    """

    base: str
    objective: str
    settings: Mapping[str, object]
    digests: Mapping[str, str]
    ending: Mapping[str, object] = field(default_factory=dict)
    probe: Mapping[str, float] = field(default_factory=dict)


def save_model(
    lm_network: Any,  # noqa: ANN401 - any causal LM
    tokenizer: Any,  # noqa: ANN401 - any tokenizer
    folder: Path,
    *,
    card: ModelCard | None = None,
) -> None:
    """Write a model folder, whole or not at all.

    Raises:
        ExistsError: The folder holds something, or is a file.
        WriteFailed: The disk refused it; nothing was left behind.
    """
    if is_taken(folder):
        raise ExistsError(f"{folder} is there and not empty; choose another folder or remove it first.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            made = Path(name) / "model"
            _write(lm_network, tokenizer, made, card)
            made.replace(folder)
    except ForgetwellError:
        raise
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
            raise
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise WriteFailed(
            f"Could not write the model to {folder}: {reason}. Free some space or choose another folder."
        ) from error


def _write(network: Any, tokenizer: Any, made: Path, card: ModelCard | None) -> None:  # noqa: ANN401
    made.mkdir()
    network.save_pretrained(made, safe_serialization=True)
    tokenizer.save_pretrained(made)
    (made / "README.md").unlink(missing_ok=True)  # PEFT's is an empty form that names folders of this machine
    if card is not None:
        write_text(made / "README.md", card_text(card))
    _give_usual_modes(made)


def _give_usual_modes(folder: Path) -> None:
    """Give files the mode that `open` would leave: safetensors hides weights from all but their owner."""
    usual = folder / ".mode"
    usual.touch()
    mode = stat.S_IMODE(usual.stat().st_mode)
    usual.unlink()
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(mode)


def card_text(card: ModelCard) -> str:
    """Return a model card as Markdown with YAML front matter; text of the request can't act as markup."""
    parts = [
        _front_matter(card),
        f"# {_inline(card.base)}, trained with forgetwell",
        f"Objective: {_inline(card.objective)}",
        "## Hyperparameters",
        _table(("setting", "value"), ((k, _value(v)) for k, v in card.settings.items())),
        "## Digests",
        _table(("of", "digest"), card.digests.items()),
    ]
    if card.ending:
        parts += ["## Training", _table(("what", "value"), ((k, _value(v)) for k, v in card.ending.items()))]
    if card.probe:
        numbers = ((name, _number(value)) for name, value in card.probe.items())
        parts += ["## Last probe", _table(("measured", "value"), numbers)]
    limits = f"{_LIMITS} {_OF_NUMBERS}" if card.probe else _LIMITS
    return "\n\n".join([*parts, "## Limits", limits]) + "\n"


def _front_matter(card: ModelCard) -> str:
    # A JSON string in ASCII is a YAML string, whatever it holds.
    lines = [f"base_model: {json.dumps(card.base)}", "library_name: transformers", "tags:"]
    return "\n".join(["---", *lines, "- unlearning", "- forgetwell", "---"])


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "not known"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(plain(value), ensure_ascii=False, default=str)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head)]
    written = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join(written + ["| " + " | ".join(map(_inline, row)) + " |" for row in rows])


def _inline(text: str) -> str:
    """Return text on one line in which neither HTML nor Markdown means anything."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return _MARKUP.sub(r"\\\1", html.escape(" ".join(printable.split()), quote=False))
