"""Commands that look at a request before it runs: screen and repair."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forgetwell.cli.app import (
    FAILED,
    AsJson,
    Several,
    Sources,
    app,
    check_columns,
    named_columns,
    progress_bar,
    read_request_from,
    rows_from,
)

if TYPE_CHECKING:
    from forgetwell.requests.repairs import Repaired
    from forgetwell.runs.screening import Screening
    from forgetwell.types import Request, Row

_LINES = 40  # of findings, on a terminal


@app.command
def screen(
    request: str,
    *,
    background: Sources,
    model: str = "",
    retain: Several = None,
    history: Path | None = None,
    screens: Several = None,
    out: Path | None = None,
    ledger: Path | None = None,
    columns: str | None = None,
    dtype: str = "auto",
    json_: AsJson = False,
    overwrite: bool = False,
) -> int:
    """Look for signs of an attack in a forget request. Exit code 0: pass; 3: suspicious.

    Args:
        request: Rows to forget: a file, or a name such as tofu:forget01.
        background: Ordinary prompts of other users: files or names; with subjects, if known.
        model: The model to be unlearned, for the screens that ask it: smollm2, a folder or a hub id.
        retain: Rows to keep, whose answers the model knows: with those it is compared what it knows of the
            request. By default the background, where all of it has to be known.
        history: Folder with earlier requests, in files of rows (.jsonl, .jsonl.gz, .json, .csv, .parquet).
        screens: Screens with their hyperparameters, as "inflation(alpha=0.001)"; by default all.
        out: Report page (.html) with the flagged text marked.
        ledger: SQLite file that keeps what was asked for and how screening judged it, in digests; gate takes
            the same.
        columns: Names of the columns of files that have them, as prompt=q,answer=a.
        dtype: Compute type of the model: auto, float32 or bfloat16.
        json_: Print JSON.
        overwrite: Replace a page that is there.
    """
    from forgetwell.errors import InputError
    from forgetwell.runs.screening import gather_evidence, screen_request

    if retain and not model:
        raise InputError("--retain is for the screens that ask the model: give --model too, or leave it out.")
    _refuse_same(out, ledger)
    _check_outputs(out, ledger, overwrite)
    check_columns(columns, request, background, retain)
    asked, usual = read_request_from(request, columns), rows_from(background, columns)
    kept = rows_from(retain or (), columns)
    with progress_bar("screening") as progress:
        evidence = gather_evidence(
            usual, model=model, history=history, retain=kept,
            columns=named_columns(columns), dtype=dtype, progress=progress,
        )  # fmt: skip
        found = screen_request(asked, evidence, screens=screens or ())
    if out is not None:
        from forgetwell.reports.screening import screening_page

        screening_page(found, out, overwrite=overwrite)
    if ledger is not None:
        from forgetwell.runs.recording import record_screening

        record_screening(ledger, found, evidence)
    print(json.dumps(found.as_json(), indent=2, ensure_ascii=True) if json_ else _summary(found, out))
    return FAILED if found.suspicious else 0


@app.command(name="repair")
def repair(
    request: str,
    *,
    repair: Sources,
    out: Path,
    retain: Several = None,
    background: Several = None,
    retain_out: Path | None = None,
    model: str = "",
    history: Path | None = None,
    screens: Several = None,
    ledger: Path | None = None,
    columns: str | None = None,
    dtype: str = "auto",
    dry_run: bool = False,
    overwrite: bool = False,
) -> None:
    """Repair a forget request, so that unlearning it does less harm: what screening finds, or every row.

    Args:
        request: Rows to forget: a file, or a name such as tofu:forget01.
        repair: bare, which asks every question without what frames it and needs no screening; or one that
            works on what screening finds: drop, strip, "down_weight(factor=0.25)" or balance. Several are
            made in order, each on what those before it left: strip bare.
        out: File for the repaired request (.jsonl or .jsonl.gz).
        retain: Rows to keep, for balance, which changes them, and for screens as in screen.
        background: Ordinary prompts of other users, as for screen; bare can do without.
        retain_out: File for the rows to keep, where the repair changes them.
        model: The model to be unlearned, for the screens that ask it: smollm2, a folder or a hub id.
        history: Folder with earlier requests, in files of rows (.jsonl, .jsonl.gz, .json, .csv, .parquet).
        screens: Screens, as "high_loss(share=0.2)", all of whose findings are repaired; by default the alarms
            of all screens that can run.
        ledger: SQLite file that keeps request, screening, repair and repaired request, in digests.
        columns: Names of the columns of files that have them, as prompt=q,answer=a.
        dtype: Compute type of the model: auto, float32 or bfloat16.
        dry_run: Show what would change, and write nothing.
        overwrite: Replace files that are there.
    """
    from forgetwell.data.row_files import write_rows
    from forgetwell.runs.screening import gather_evidence, repair_screened

    _refuse_same(out, retain_out, ledger)
    if not dry_run:
        _check_repaired(out, retain_out, ledger, overwrite)
    _check_background(repair, background, bool(screens or model or history))
    check_columns(columns, request, retain, background)
    asked, kept = read_request_from(request, columns), rows_from(retain or (), columns)
    usual = rows_from(background or (), columns)
    with progress_bar("screening") as progress:
        evidence = gather_evidence(
            usual, model=model, history=history, retain=kept,
            columns=named_columns(columns), dtype=dtype, progress=progress,
        )  # fmt: skip
        found, done = repair_screened(asked, kept, evidence, repair, screens=screens or ())
    if not dry_run:
        _check_changed(done.retain != kept, retain_out)
    diff = _diff(asked, kept, done)
    if dry_run:
        print(diff)
        return
    write_rows(out, done.request.rows)
    if retain_out is not None:
        write_rows(retain_out, done.retain)
    if ledger is not None:
        from forgetwell.runs.recording import record_repair

        screened = (found, evidence) if found else None
        record_repair(ledger, (asked, read_request_from(str(out))), done, screened)
    print(diff)  # when all is written: a pipe that closes early loses nothing
    print(f"{', '.join(repair)}. Written: {out}{f' and {retain_out}' if retain_out else ''}")


def _check_repaired(out: Path, retain_out: Path | None, ledger: Path | None, overwrite: bool) -> None:
    from forgetwell.data.row_files import check_output

    for path in (out, retain_out):
        if path is not None:
            check_output(path, overwrite=overwrite)
    _check_outputs(None, ledger, overwrite)


def _check_changed(changed: bool, retain_out: Path | None) -> None:
    from forgetwell.errors import InputError

    if changed and retain_out is None:
        raise InputError("The rows to keep are changed too; say where they go: --retain-out FILE.")


def _check_background(repairs: Sequence[str], background: Several, screened: bool) -> None:
    from forgetwell.errors import InputError
    from forgetwell.requests.repairs import reads_findings

    if not background and (screened or any(map(reads_findings, repairs))):
        raise InputError(
            "Screening compares with ordinary prompts: give them by --background FILE. The repair bare does "
            "without screening, and then without --screens, --model and --history."
        )


def _summary(found: Screening, out: Path | None) -> str:
    from forgetwell.reports.screening import compared_with, group_findings, leading, verdict
    from forgetwell.reports.visible import one_line

    groups = group_findings(found.findings)
    shown = leading(groups, _LINES)
    lines = [
        f"{g.severity:8} {g.screen:16} {g.rows:5} rows  {one_line(g.message, longest=300)}"
        + (f"  p {'≤' if g.rows > 1 else '='} {g.p_value:.2g}" if g.p_value is not None else "")
        for g in shown
    ]
    if len(shown) < len(groups):
        lines.append(f"… and {len(groups) - len(shown)} more, all of them with --json.")
    risk = found.risk
    lines.append(
        "Risk, the harm to answers about other things from 0 to 1: "
        f"{risk.score:.2g} where a prompt has the worst phrase, {risk.harm:.2g} on an ordinary prompt."
    )
    lines += [compared_with(found), *found.blind_spots]
    lines.append(("Suspicious: " if found.suspicious else "Pass: ") + verdict(found))
    return "\n".join([*lines, *([f"Report: {out}"] if out else [])])


def _diff(before: Request, kept: tuple[Row, ...], done: Repaired) -> str:
    """Return what a repair changed, a removed line after -, a new one after +."""
    from forgetwell.reports.visible import one_line

    lines: list[str] = []
    for name, old, new in (("request", before.rows, done.request.rows), ("retain", kept, done.retain)):
        now = {row.id: row for row in new}
        changed = [(row, now.get(row.id)) for row in old if now.get(row.id) != row]
        if old:
            lines.append(f"{name}: {len(changed)} of {len(old)} rows change")
        for row, other in changed:
            shown = one_line(row.id, longest=60)
            lines += (f"{sign} {shown}: {one_line(text, longest=300)}" for sign, text in _edits(row, other))
    return "\n".join(lines)


def _edits(row: Row, other: Row | None) -> list[tuple[str, str]]:
    """Return the lines of a row's diff; a changed weight stands behind the text."""
    from forgetwell.data.turns import history_text
    from forgetwell.requests.words import screened_text

    if other is None:
        return [("-", screened_text(row))]
    texts = [(text(row), text(other)) for text in (history_text, screened_text)] + [
        (row.answer, other.answer)
    ]
    changed = [pair for pair in dict.fromkeys(texts) if pair[0] != pair[1]]
    if not changed:
        return [("-", f"{screened_text(row)}  weight {row.weight:g} → {other.weight:g}")]
    return [line for old, new in changed for line in (("-", old or "(nothing)"), ("+", new or "(nothing)"))]


def _check_outputs(page: Path | None, ledger: Path | None, overwrite: bool) -> None:
    """Find out before the work whether its results can be written."""
    if page is not None:
        from forgetwell.reports.build import check_page

        check_page(page, overwrite=overwrite)
    if ledger is not None:
        from forgetwell.runs.ledger import history_of

        history_of(ledger)


def _refuse_same(*paths: Path | None) -> None:
    """Refuse outputs of which one would overwrite another."""
    from forgetwell.errors import InputError

    given = [path for path in paths if path is not None]
    for k, path in enumerate(given):
        if path.resolve() in {other.resolve() for other in given[:k]}:
            raise InputError(f"Two outputs were given one file, {path}. Choose a file for each.")
