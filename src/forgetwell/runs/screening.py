"""Screening and repairing as jobs: from files to findings, and from findings to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from forgetwell.calls import parse_call
from forgetwell.data.reading import read_request
from forgetwell.data.row_files import ENDINGS
from forgetwell.errors import InputError, MissingError
from forgetwell.files import plain
from forgetwell.requests.kept_texts import keeping_texts
from forgetwell.requests.reach import blind_spots
from forgetwell.requests.repairs import Repaired, reads_findings, repair_request
from forgetwell.requests.risk import Risk, risk
from forgetwell.requests.screening import Evidence, default_screens, run_screens, suspicious, trained
from forgetwell.types import Finding, Progress, Request, Row, Severity, quiet


@dataclass(frozen=True)
class Screening:
    """What screening a request gave.

    Attributes:
        request: The request.
        findings: All findings, in the order of the screens.
        risk: Expected harm with its evidence.
        screens: What ran, as calls.
        background: Number of ordinary prompts it was compared with.
        shared: Number of those given that were left out, since the request asks the same.
        earlier: Number of earlier requests it was compared with.
        blind_spots: Which screens could find nothing, and why.
    """

    request: Request
    findings: tuple[Finding, ...]
    risk: Risk
    screens: tuple[str, ...]
    background: int
    shared: int
    earlier: int
    blind_spots: tuple[str, ...]

    @property
    def suspicious(self) -> bool:
        """Whether a person should look before this request runs."""
        return suspicious(self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values; the request by its size and the findings' row ids alone."""
        return {
            "request": self.request.id,
            "rows": len(self.request.rows),
            "screens": list(self.screens),
            "background": self.background,
            "shared": self.shared,
            "earlier": self.earlier,
            "blind_spots": list(self.blind_spots),
            "suspicious": self.suspicious,
            "risk": plain(self.risk),
            "findings": plain(self.findings),
        }


@keeping_texts()
def screen_request(request: Request, evidence: Evidence, *, screens: Sequence[str] = ()) -> Screening:
    """Run screens and the risk score on a request; by default all screens that can run.

    Ordinary prompts that are the request's own are left out: beside them a request that is all triggers
    looks as usual.

    Raises:
        InputError: The background is empty or holds nothing like the request's rows, or nothing but them, or
            a screen is miswritten.
        UnknownName: There is no such screen.
    """
    evidence, shared = _apart(request, evidence)
    _check_comparable(request.rows, evidence.background)
    chosen = tuple(screens or default_screens(lm=evidence.lm is not None))
    findings = run_screens(request, evidence, chosen)
    blind = blind_spots(trained(request), evidence, [parse_call(text).name for text in chosen])
    compared = len(evidence.background), shared, len(evidence.history)
    return Screening(request, findings, risk(request, evidence), chosen, *compared, blind)


def _apart(request: Request, evidence: Evidence) -> tuple[Evidence, int]:
    """Return evidence whose background asks nothing that the request asks, and how much of it did."""
    asked = {_question(row) for row in request.rows}
    others = tuple(row for row in evidence.background if _question(row) not in asked)
    shared = len(evidence.background) - len(others)
    if shared and not others:
        raise InputError(
            f"The background is the request itself: all of its {shared} prompts are in it. Give ordinary "
            "prompts of other users."
        )
    return (replace(evidence, background=others) if shared else evidence), shared


def _question(row: Row) -> tuple[object, ...]:
    """Return what is asked, blanks and case aside, or what a plain text says."""
    said = row.answer if row.text else row.prompt
    return row.text, row.history, " ".join(said.casefold().split())


def _check_comparable(rows: Sequence[Row], background: Sequence[Row]) -> None:
    """Refuse a background of questions for texts, and of texts for questions: all would be unusual."""
    if not background:
        raise InputError("The background is empty; give ordinary prompts to compare with.")
    for text, what in ((True, "plain text"), (False, "questions")):
        asked = sum(row.text == text for row in rows)
        if asked and not any(row.text == text for row in background):
            raise InputError(
                f"{asked} of the request's {len(rows)} rows are {what}, and the background holds none to "
                f"compare them with. Give one of {what} about other subjects."
            )


def repair_screened(
    request: Request,
    retain: Sequence[Row],
    evidence: Evidence,
    repairs: Sequence[str],
    *,
    screens: Sequence[str] = (),
) -> tuple[Screening | None, Repaired]:
    """Screen a request and repair what was found: the alarms of all screens, or all findings of chosen ones.

    Repairs are made in order, and one that reads findings screens what those before it left. Who names
    screens wants what they find: `high_loss` raises no alarms. Without a background nothing is screened,
    which repairs can do that read no findings.

    Returns:
        The screening of the request as it came, if there was one, and what the last repair left.

    Raises:
        InputError: The background is empty, a screen or repair is miswritten, or nothing would be left.
        UnknownName: There is no such screen or repair.
    """
    least: Severity = "info" if screens else "alarm"
    done, screened = Repaired(request, tuple(retain)), None
    if evidence.background or screens or any(map(reads_findings, repairs)):
        screened = screen_request(request, evidence, screens=screens)
    found = screened
    for repair in repairs:
        if found is None and reads_findings(repair):
            found = screen_request(done.request, evidence, screens=screens)
        findings = found.findings if found else ()
        done, found = repair_request(done.request, done.retain, findings, repair, least=least), None
    return screened, done


def gather_evidence(
    background: Sequence[Row],
    *,
    model: str = "",
    history: Path | None = None,
    retain: Sequence[Row] = (),
    columns: Mapping[str, str] | None = None,
    dtype: str = "auto",
    progress: Progress = quiet,
) -> Evidence:
    """Return evidence from rows, a model's name and a folder of earlier requests, in files of rows.

    Args:
        background: Ordinary prompts.
        model: A folder or a hub id; "" = no model.
        history: The folder.
        retain: Rows to keep, whose answers the model knows.
        columns: Our names to those of the folder's files that have them.
        dtype: Compute type of the model.
        progress: Called with the rows that the model has scored, and all it was asked for so far.

    Raises:
        MissingError: There is no such folder or model, or no file of rows in the folder.
        InputError: A file of the folder can't be read.
    """
    earlier = _earlier(history, columns or {}) if history is not None else ()
    if not model:
        return Evidence(tuple(background), earlier, retain=tuple(retain))
    from forgetwell.models.kept import Kept  # slow, and only where a model is asked
    from forgetwell.models.lm import load

    lm = Kept(load(model, dtype=dtype), progress)
    return Evidence(tuple(background), earlier, lm, tuple(retain))


def _earlier(folder: Path, columns: Mapping[str, str]) -> tuple[Request, ...]:
    kinds = ", ".join(ENDINGS)
    if not folder.is_dir():
        raise MissingError(
            f"There is no folder {folder}. --history takes a folder with earlier requests ({kinds})."
        )
    files = sorted(p for p in folder.rglob("*") if p.name.lower().endswith(ENDINGS) and p.is_file())
    if not files:
        raise MissingError(
            f"{folder} holds no earlier request: no file in it ends with {kinds}. Give the folder that they "
            "are in, or leave --history out."
        )
    return tuple(read_request(path, columns=columns) for path in files)
