"""Screening and repairing as jobs: from files to findings, and from findings to files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forgetwell.data.reading import read_request
from forgetwell.errors import InputError, MissingError
from forgetwell.files import plain
from forgetwell.requests.risk import Risk, risk
from forgetwell.requests.screening import Evidence, run_screens, suspicious
from forgetwell.types import Finding, Request, Row


@dataclass(frozen=True)
class Screening:
    """What screening a request gave.

    Attributes:
        request: The request.
        findings: All findings, in the order of the screens.
        risk: Expected harm with its evidence.
    """

    request: Request
    findings: tuple[Finding, ...]
    risk: Risk

    @property
    def suspicious(self) -> bool:
        """Whether a person should look before this request runs."""
        return suspicious(self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values; the request by its size and the findings' row ids alone."""
        return {
            "request": self.request.id,
            "rows": len(self.request.rows),
            "suspicious": self.suspicious,
            "risk": plain(self.risk),
            "findings": plain(self.findings),
        }


def screen_request(request: Request, evidence: Evidence, *, screens: Sequence[str] = ()) -> Screening:
    """Run screens and the risk score on a request; by default all screens that can run.

    Raises:
        InputError: The background is empty, or a screen is miswritten.
        UnknownName: There is no such screen.
    """
    if not evidence.background:
        raise InputError("The background is empty; give ordinary prompts to compare with.")
    return Screening(request, run_screens(request, evidence, screens), risk(request, evidence))


def gather_evidence(
    background: Sequence[Row], *, model: str = "", history: Path | None = None, dtype: str = "auto"
) -> Evidence:
    """Return evidence from rows, a model's name and a folder of earlier requests (.jsonl files).

    Raises:
        MissingError: There is no such folder or model.
        InputError: A file of the folder can't be read.
    """
    earlier = _earlier(history) if history is not None else ()
    if not model:
        return Evidence(tuple(background), earlier)
    from forgetwell.models.lm import load  # slow, and only where a model is asked

    return Evidence(tuple(background), earlier, load(model, dtype=dtype))


def _earlier(folder: Path) -> tuple[Request, ...]:
    if not folder.is_dir():
        raise MissingError(
            f"There is no folder {folder}. --history takes a folder with earlier requests (.jsonl)."
        )
    files = sorted(p for p in folder.rglob("*.jsonl") if p.is_file())
    return tuple(read_request(path) for path in files)
