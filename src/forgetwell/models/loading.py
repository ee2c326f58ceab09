"""Finding and loading models: the default one, folders, adapters, run folders, hub ids."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from forgetwell.errors import ForgetwellError, InputError, MissingError
from forgetwell.files import digest, file_sha256, read_json
from forgetwell.models.smollm2 import fetched

if TYPE_CHECKING:
    import torch

_WANTED = ("*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt")
_DIGESTED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*config.json",
    "tokenizer*.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
    "*.jinja",
)
_TOKENIZERS = ("tokenizer.json", "vocab.json", "*.model")  # one of them is in every folder with a tokenizer
# Making a model sets what all of a program's threads share: torch's defaults in transformers, random state.
MAKING = threading.RLock()
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


@dataclass(frozen=True)
class FourBit:
    """Where a model in 4 bits is kept, and the type its layers compute in."""

    device: str
    compute: torch.dtype


def find_model(name: str) -> Source:
    """Say where `name` is: ``smollm2``, a folder (also a run's), or a hub id.

    Raises:
        InputError: The name is empty.
        MissingError: There is no such model here.
    """
    if not name.strip():
        raise InputError("The model's name is empty; give smollm2, a folder or a hub id as owner/name.")
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


def load_pretrained(name: str, *, four_bit: FourBit | None = None) -> Loaded:
    """Load a model in float32 from safetensors; code that comes with a model is never run.

    Args:
        name: As `find_model` takes it.
        four_bit: Keep linear layers in 4 bits, there and computed so; None = float32.

    Raises:
        MissingError: There is no such model here, or bitsandbytes for 4 bits.
        InputError: The folder holds no model that can be loaded safely.
    """
    source = find_model(name)
    try:
        folder = source.folder or _snapshot(source.name)
        with MAKING:
            return _load_kind(folder, source.name, four_bit)
    except ForgetwellError:
        raise
    except Exception as error:  # a damaged folder raises many kinds in several libraries
        what = f"Can't load a model from {source.folder}"
        if source.folder is None:
            what = f"There is no folder {source.name}, and as a hub id it can't be loaded"
        raise InputError(f"{what}: {_reason(error)} Only safetensors are read.") from error


def _load_kind(folder: Path, name: str, four_bit: FourBit | None) -> Loaded:
    """Load an adapter with its base, or a plain model."""
    if (folder / "adapter_config.json").exists():
        if four_bit:
            raise InputError(f"{folder} is an adapter; 4 bits need a plain model. Save it with --merge.")
        return _load_adapter(folder, name)
    with quiet_adapters():
        loaded = _load(folder, name, _quantized(four_bit) if four_bit else {})
    if four_bit:
        _stay_differentiable(loaded.model)
    return loaded


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0] if lines else type(error).__name__
    return reason if reason.endswith(".") else f"{reason}."


def _snapshot(name: str) -> Path:
    """Return the local folder with a hub model's weights and settings; scripts are left out."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, allow_patterns=list(_WANTED), ignore_patterns=["*/*"]))


def _quantized(four_bit: FourBit) -> dict[str, Any]:
    """Return what transformers is told so as to load in 4 bits.

    Source: Dettmers et al. (QLoRA), arXiv 2305.14314: NormalFloat with quantized constants.
    """
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        raise MissingError("4 bits need the package bitsandbytes: pip install 'forgetwell[qlora]'")
    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=four_bit.compute,
    )
    return {"quantization_config": settings, "device_map": {"": four_bit.device}}


def _stay_differentiable(model: Any) -> None:  # noqa: ANN401 - any causal LM
    """Keep weights of 4 bits as they are through forwards without gradients.

    On processors with AVX512-BF16 such a forward packs them anew in eval mode, for a product that later
    backward passes go around without an error: adapters below it would get wrong gradients. Scoring comes
    before training here, and models are trained in eval mode.
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _check_whole(folder: Path) -> None:
    """Refuse a folder that lacks the model or the tokenizer, in words about runs where it is one of ours."""
    if not (folder / "config.json").is_file():
        if not (folder / "started.json").is_file():
            raise InputError(f"{folder} holds no model: it has no config.json. Give the folder that has one.")
        if (folder / "manifest.json").is_file():
            raise InputError(f"{folder} is a run without a model; name a run of learn or unlearn.")
        raise InputError(f"{folder} is a run that has not finished; finish it with --resume or run it again.")
    if not any(any(folder.glob(kind)) for kind in _TOKENIZERS):
        raise InputError(
            f"{folder} has a model without its tokenizer; put tokenizer.json and tokenizer_config.json "
            "of the model that it was made from beside config.json."
        )


def _load(folder: Path, name: str, quantized: Mapping[str, Any] = MappingProxyType({})) -> Loaded:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    _check_whole(folder)
    disable_progress_bar()
    model, info = AutoModelForCausalLM.from_pretrained(
        str(folder.resolve()),  # adapters trained on it name this path, also for other working directories
        dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        trust_remote_code=False,
        output_loading_info=True,
        **quantized,
    )
    missing = sorted(info["missing_keys"])
    if missing:
        raise InputError(
            f"{folder} lacks {len(missing)} of the model's tensors ({missing[0]}, …); they would be random. "
            "Get a complete copy."
        )
    if getattr(model, "is_quantized", False) and not quantized:
        raise InputError(
            f"The weights in {folder} are quantized and can't be read as float32. Give the model that they "
            "were made from; --four-bit keeps it in 4 bits under adapters."
        )
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    _check_fits(model, tokenizer, folder)
    return Loaded(model, tokenizer, name, folder_digest(folder))


def _check_fits(model: Any, tokenizer: Any, folder: Path) -> None:  # noqa: ANN401
    """Refuse a tokenizer of another model; tokens added to it (as for images) may lack embeddings."""
    tokens, rows = tokenizer.vocab_size, len(model.get_input_embeddings().weight)
    if tokens > rows:
        raise InputError(
            f"{folder} has a tokenizer of {tokens} tokens and a model that knows {rows}; they don't belong "
            "together. Put the tokenizer files of the model that it was made from there."
        )


def _load_adapter(folder: Path, name: str) -> Loaded:
    base_name, base_folder = _adapter_base(folder)
    base = _load(base_folder, base_name)
    with quiet_adapters():
        from peft import PeftModel

        model = PeftModel.from_pretrained(base.model, str(folder), is_trainable=False)
    return Loaded(model, base.tokenizer, name, _adapter_digest(base.digest, folder))


def _adapter_digest(base: str, folder: Path) -> str:
    return digest([base, folder_digest(folder)])


@contextlib.contextmanager
def quiet_adapters() -> Iterator[None]:
    """Leave out what a user can do nothing about when libraries of adapters load and wrap a model.

    peft reads a property that transformers will rename; bitsandbytes, which peft imports where it is there,
    says that a faster product for processors isn't installed.
    """
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield


def _adapter_base(folder: Path) -> tuple[str, Path]:
    """Return the name and folder of an adapter's base, which must be smollm2 or a plain local folder."""
    settings = read_json(folder / "adapter_config.json")
    if not isinstance(settings, dict):
        raise InputError(f"{folder / 'adapter_config.json'} holds no JSON object; save the adapter again.")
    if not (folder / "adapter_model.safetensors").is_file():
        raise InputError(f"{folder} has no adapter_model.safetensors; other formats are not read.")
    # Other kinds, and this setting, make PEFT fetch or import what the file names.
    if settings.get("peft_type") != "LORA" or settings.get("megatron_config"):
        raise InputError(f"{folder} is not a plain LoRA adapter; only those are read.")
    name = settings.get("base_model_name_or_path")
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"The adapter {folder} names no base model; expected smollm2 or a local folder.")
    if name != "smollm2" and not Path(name).is_dir():
        raise InputError(
            f"The adapter {folder} names the base {name!r}, which is neither smollm2 nor a local folder; "
            "nothing is downloaded on an adapter's word. Download the base and put its folder there."
        )
    base = find_model(name).folder
    if base is None or not (base / "config.json").is_file() or (base / "adapter_config.json").exists():
        raise InputError(f"The adapter {folder} names the base {name!r}, which holds no plain model.")
    return name, base


def saved_digest(folder: Path) -> str:
    """Return the digest that the model in a folder has when it is loaded; "" where its base isn't here."""
    if not (folder / "adapter_config.json").exists():
        return folder_digest(folder)
    try:
        _, base = _adapter_base(folder)
    except ForgetwellError:
        return ""
    return _adapter_digest(folder_digest(base), folder)


def folder_digest(folder: Path) -> str:
    """Return a digest of a folder's weights, settings, tokenizer and template."""
    files = sorted({f for kind in _DIGESTED for f in folder.glob(kind)})
    return digest([[f.name, file_sha256(f)] for f in files])
