"""What screening and repairing leave in a ledger: digests and counts, no text."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from forgetwell.data.reading import request_digest
from forgetwell.files import digest
from forgetwell.requests.repairs import Repaired
from forgetwell.requests.screening import Evidence
from forgetwell.runs.ledger import Addition, append
from forgetwell.runs.screening import Screening
from forgetwell.types import Request


def record_screening(ledger: Path, found: Screening, evidence: Evidence) -> None:
    """Add a request and how screening judged it, as far as the ledger doesn't have it.

    A gate names the same request by the same digest.

    Raises:
        InputError: The file is no ledger, or its chain is broken.
        WriteFailed: The disk refused; nothing was added.
    """
    _add(ledger, [("request", request_facts(found.request)), _screening(found, evidence)])


def record_repair(
    ledger: Path,
    requests: tuple[Request, Request],
    done: Repaired,
    screened: tuple[Screening, Evidence] | None = None,
) -> None:
    """Add a request, its screening, the repair and the repaired request.

    Args:
        ledger: The file.
        requests: The request as it came, and repaired as it will be handed in, both read from their files.
        done: The repair's result.
        screened: The screening that was repaired with what it was screened with, if there was one.

    Raises:
        InputError: The file is no ledger, or its chain is broken.
        WriteFailed: The disk refused; nothing was added.
    """
    came, handed_in = requests
    now = {row.id: row for row in done.request.rows}
    repaired = {
        "request": request_digest(came),
        "made": request_digest(handed_in),
        "repair": ", ".join(done.request.history[len(came.history) :]),
        "changed": sum(now.get(row.id) != row for row in came.rows),
    }
    before: Addition = ("request", request_facts(came))
    after: Addition = ("request", request_facts(handed_in))
    found = [_screening(*screened)] if screened else []
    _add(ledger, [before, *found, ("repair", repaired), after])


def request_facts(request: Request) -> dict[str, Any]:
    """Return a request's entry: rows, digest and number of subjects, not its id, which may be a name."""
    subjects = len({row.subject for row in request.rows if row.subject})
    return {"rows": len(request.rows), "digest": request_digest(request), "subjects": subjects}


def _screening(found: Screening, evidence: Evidence) -> Addition:
    rows: defaultdict[str, dict[str, set[str]]] = defaultdict(dict)
    for f in found.findings:
        rows[f.screen].setdefault(f.severity, set()).add(f.row_id)
    facts = {
        "request": request_digest(found.request),
        "screens": list(found.screens),
        "suspicious": found.suspicious,
        "risk": found.risk.score,
        "harm": found.risk.harm,
        "found": {name: {s: len(ids) for s, ids in own.items()} for name, own in rows.items()},
        "background": digest(evidence.background),
        "earlier": [request_digest(request) for request in evidence.history],
        "model": evidence.lm.digest if evidence.lm else "",
    }
    if evidence.lm and evidence.retain:  # which the model alone is asked about
        facts["retain"] = digest(evidence.retain)
    return "screening", facts


def _add(ledger: Path, additions: list[Addition]) -> None:
    append(ledger, additions)
