"""Files that appear whole or not at all, and digests that name what they hold."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import secrets
import stat
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from forgetwell.errors import ExistsError, ForgetwellError, InputError


class WriteFailed(ForgetwellError, OSError):
    """The disk refused a write; nothing that was there before has changed."""


@contextmanager
def atomic_path(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success rename it to `path`, else remove it.

    The file's mode is the one that `open` would leave: that of a file that was there, or by the umask.

    Args:
        path: The file.
        replace: Take the place of a file that is there by then.

    Raises:
        ExistsError: There is one, and it isn't to be replaced.
        WriteFailed: The disk is full or not writable.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        name = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
        name.touch(exist_ok=False)
        temporary = name
        yield temporary
        with suppress(FileNotFoundError):
            os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
        if not replace:
            _claim(path, temporary)
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, ForgetwellError):
            raise
        reason = error.strerror or str(error)
        raise WriteFailed(
            f"Could not write {path}: {reason}. Free some space or choose another folder; "
            "what was there before is unchanged."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _claim(path: Path, whole: Path) -> None:
    """Give a file a second name, which no other process has taken meanwhile."""
    try:
        os.link(whole, path)
    except FileExistsError:
        raise ExistsError(f"{path} exists.") from None
    except OSError:  # a file system without links: the name is taken a moment before there is anything in it
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            raise ExistsError(f"{path} exists.") from None


def check_new(path: Path, *, overwrite: bool) -> None:
    """Find out before the work whether a file may be written.

    Raises:
        ExistsError: It is there and isn't to be overwritten.
    """
    if path.exists() and not overwrite:
        raise ExistsError(f"{path} exists. Choose another name or add --overwrite.")


def is_taken(path: Path, *, but: str = "") -> bool:
    """Say whether a folder can't be made: it holds something but the file of that name, or is a file."""
    return path.exists() and (not path.is_dir() or any(child.name != but for child in path.iterdir()))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write readable JSON, whole or not at all. NaN is refused by `json` with allow_nan=False."""
    write_text(path, json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_jsonl(path: Path, records: Iterable[Any]) -> None:
    """Write one JSON object a line, whole or not at all, packed if the name ends with .gz."""
    lines = (json.dumps(plain(r), ensure_ascii=False, allow_nan=False) + "\n" for r in records)
    content = "".join(lines).encode()
    with atomic_path(path) as temporary:
        packed = path.name.lower().endswith(".gz")
        temporary.write_bytes(gzip.compress(content, mtime=0) if packed else content)


def read_text(path: Path) -> str:
    """Read UTF-8 text; a byte order mark before it is no part of it.

    Raises:
        InputError: It is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8.") from None


def read_json(path: Path) -> Any:  # noqa: ANN401 - any JSON value
    """Read one of our own JSON files.

    Raises:
        InputError: It is not valid JSON, or not UTF-8.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not a readable JSON file: {error}.") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        InputError: It is not valid TOML, or not UTF-8.
    """
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not a readable TOML file: {error}.") from None


def read_object(path: Path) -> dict[str, Any]:
    """Read one of our own JSON files that holds an object.

    Raises:
        InputError: It is not valid JSON, or holds something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} holds {type(value).__name__}, expected an object. Restore the file.")
    return value


def read_jsonl(path: Path, *, whole: bool = False) -> list[dict[str, Any]]:
    """Read one of our own JSONL files; a last line cut off by a crash is left out.

    Args:
        path: The file.
        whole: The file was written at once: no crash can have cut it, and a cut line is damage.

    Raises:
        InputError: A line is damaged, or holds no object; the message names it.
    """
    records: list[dict[str, Any]] = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            if number == len(lines) and not whole:  # the process died while writing this line
                break
            raise InputError(
                f"{path} can't be read: line {number} is damaged ({error}). Restore the file or make the run "
                "again."
            ) from None
        if not isinstance(record, dict):
            raise InputError(f"{path}, line {number}: expected an object. Restore the file.")
        records.append(record)
    return records


def plain(value: Any) -> Any:  # noqa: ANN401 - any value
    """Return `value` with dataclasses as dicts, tuples as lists and paths as strings."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


def digest(value: Any) -> str:  # noqa: ANN401 - any JSON-able value
    """Return a 16-hex-digit SHA-256 of any JSON-able value (dataclasses too)."""
    return sha256(value).removeprefix("sha256:")[:16]


def sha256(value: Any) -> str:  # noqa: ANN401 - any JSON-able value
    """Return the SHA-256 of any JSON-able value (dataclasses too), as ``sha256:…`` with 64 hex digits."""
    text = json.dumps(plain(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
