"""Finding and loading models: the default one, folders, adapters, run folders, hub ids."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetwell.errors import InputError, MissingError
from forgetwell.files import digest, file_sha256, read_json
from forgetwell.models.smollm2 import fetched

_HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+$")


@dataclass(frozen=True)
class Source:
    """Where a model is: a local folder, or a hub id where `folder` is None."""

    name: str
    folder: Path | None


@dataclass(frozen=True)
class Loaded:
    """A model with its tokenizer and what identifies it."""

    model: Any
    tokenizer: Any
    name: str
    digest: str


def find_model(name: str) -> Source:
    """Say where `name` is: ``smollm2``, a folder (also a run's), or a hub id.

    Raises:
        MissingError: There is no such model here.
    """
    if name == "smollm2":
        folder = fetched()
        if folder is None:
            raise MissingError("The default model is not here yet. Run: forgetwell fetch smollm2")
        return Source(name, folder)
    path = Path(name)
    if path.is_dir():
        inside = path / "model"
        return Source(name, inside if inside.is_dir() else path)
    if _HUB_ID.match(name) and not path.exists():
        return Source(name, None)
    raise MissingError(
        f"No model {name!r}: expected smollm2, a folder with a Hugging Face model or adapter, a run "
        "folder, or a hub id as owner/name."
    )


def load_pretrained(name: str) -> Loaded:
    """Load a model in float32 from safetensors; code that comes with a model is never run.

    Raises:
        MissingError: There is no such model here.
        InputError: The folder holds no model that can be loaded safely.
    """
    source = find_model(name)
    where = str(source.folder) if source.folder else source.name
    try:
        return _load(where, source)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError | MissingError):
            raise
        reason = str(error).splitlines()[0]
        raise InputError(f"Can't load a model from {where}: {reason} Only safetensors are read.") from error


def _load(where: str, source: Source) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    local = source.folder is not None
    safe = {"local_files_only": local, "trust_remote_code": False}
    if source.folder is not None and (source.folder / "adapter_config.json").exists():
        return _load_adapter(source.folder, source.name)
    model = AutoModelForCausalLM.from_pretrained(
        where, dtype=torch.float32, use_safetensors=True, attn_implementation="sdpa", **safe
    )
    tokenizer = AutoTokenizer.from_pretrained(where, **safe)
    return Loaded(model, tokenizer, source.name, model_digest(source))


def _load_adapter(folder: Path, name: str) -> Loaded:
    from peft import PeftModel

    base_name = str(read_json(folder / "adapter_config.json").get("base_model_name_or_path") or "")
    base = load_pretrained(base_name)
    model = PeftModel.from_pretrained(base.model, str(folder), is_trainable=False)
    own = digest([base.digest, model_digest(Source(name, folder))])
    return Loaded(model, base.tokenizer, name, own)


def model_digest(source: Source) -> str:
    """Return a digest of a folder's weights, settings, tokenizer and template (of a hub id: its name)."""
    if source.folder is None:
        return digest(source.name)
    kinds = ("*.safetensors", "*config.json", "tokenizer*.json", "*.jinja")
    files = sorted({f for kind in kinds for f in source.folder.glob(kind)})
    return digest([[f.name, file_sha256(f)] for f in files])
