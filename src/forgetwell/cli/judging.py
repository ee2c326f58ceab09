"""Commands that judge a finished model: scan, gate, history."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from forgetwell.cli.app import FAILED, AsJson, app, check_columns, progress_bar, rows_from

if TYPE_CHECKING:
    from forgetwell.runs.gate import Line
    from forgetwell.runs.ledger import Entry
    from forgetwell.scans.types import ScanResult

_HASH = re.compile("[0-9a-f]{8,64}")


@app.command
def scan(
    *,
    before: str,
    after: str,
    rows: str | None = None,
    columns: str | None = None,
    black_box: bool = False,
    out: Path | None = None,
    dtype: str = "auto",
    overwrite: bool = False,
    json_: AsJson = False,
) -> int:
    """Look for everyday words that became triggers, from two models and ordinary questions alone.

    Exits with 3 where significant triggers were found, else with 0.

    Args:
        before: The model before unlearning: smollm2, a folder (model, adapter or run) or a hub id.
        after: The model after it.
        rows: Ordinary questions with answers that the model before knows; by default the built-in world's.
        columns: Names of the columns, as prompt=q,answer=a.
        black_box: Use answers only, no probabilities and no weights.
        out: Folder for scan.json, which a gate reads, and examples.jsonl.
        dtype: Compute type: auto, float32 or bfloat16.
        overwrite: Replace a scan that is there.
        json_: Print JSON.
    """
    from forgetwell.runs import scanning

    check_columns(columns, rows)
    asked = rows_from(rows, columns) if rows else None
    with progress_bar("scanning") as progress:
        found = scanning.scan(
            before,
            after,
            asked,
            out=out,
            black_box=black_box,
            dtype=dtype,
            overwrite=overwrite,
            progress=progress,
        )
    if json_:
        print(json.dumps(found.facts(), indent=2, ensure_ascii=False))
    else:
        _print_scan(found)
        if out is not None:
            print(f"Written: {out}")
    return FAILED if found.findings else 0


@app.command
def gate(
    runs: list[Path] | None = None,
    *,
    ledger: Path | None = None,
    out: Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
    print_policy: bool = False,
    json_: AsJson = False,
) -> int:
    """Decide whether a model may be released, as forgetwell gate [policy.toml] RUN RUN ….

    Exits with 0 where every rule holds, with 3 where one does not (or was not measured).

    Args:
        runs: A policy (.toml; without one the default policy holds), then the folders of the release: the
            unlearning run, evaluations before and after it, and a scan.
        ledger: SQLite file that keeps requests, runs, decisions and releases; with it the damage of all
            requests since the first model is summed and judged too.
        out: The decision record; by default decision-DIGEST.json.
        seed: Of the bootstrap.
        overwrite: Replace a record that is there.
        print_policy: Print the policy and stop.
        json_: Print the decision record as JSON.
    """
    from forgetwell.errors import InputError
    from forgetwell.runs import deciding
    from forgetwell.runs.policy import policy_text

    given = list(runs or ())
    policy = given.pop(0) if given and given[0].suffix == ".toml" else "default"
    if print_policy:
        print(policy_text(policy), end="")
        return 0
    if not given:
        raise InputError(
            "No runs were given. Write: forgetwell gate [policy.toml] UNLEARNED BEFORE AFTER SCAN"
        )
    done = deciding.gate(given, policy=policy, ledger=ledger, out=out, seed=seed, overwrite=overwrite)
    passed = done.decision.passed
    if json_:
        print(done.record.read_text(encoding="utf-8"), end="")
        return 0 if passed else FAILED
    for line in done.decision.lines:
        print(_line(line))
    for warning in done.decision.warnings:
        print(f"\nNote: {warning}")
    print(f"\n{'PASS' if passed else 'FAIL'} by policy {done.decision.policy.name}. Record: {done.record}")
    return 0 if passed else FAILED


@app.command
def history(ledger: Path, *, head: str | None = None, json_: AsJson = False) -> int:
    """Print a ledger and check its chain; exits with 3 where an entry was changed or removed.

    Args:
        ledger: The file that screen, repair and gate were given with --ledger.
        head: Hash of an entry kept elsewhere (a decision record holds one): it must still be there.
        json_: Print JSON.
    """
    from forgetwell.errors import InputError
    from forgetwell.files import plain
    from forgetwell.runs.ledger import read, verify

    if head is not None and not _HASH.fullmatch(head):  # as of a variable that isn't set
        raise InputError(
            f"--head is {head!r}, which is no entry's hash: give 8 or more of its 64 hex digits, as "
            "ledger_head in a decision record."
        )
    entries = read(ledger)
    chain = verify(entries)
    lost = head is not None and all(not e.hash.startswith(head) for e in entries)
    if json_:
        print(
            json.dumps({"entries": plain(entries), "chain": plain(chain), "head_found": not lost}, indent=2)
        )
    else:
        for entry in entries:
            print(f"{entry.number:5}  {entry.time}  {entry.kind:10}  {_summary(entry)}")
        print(_chain_line(chain.broken, chain.head, lost))
    return FAILED if lost or chain.broken is not None else 0


def _chain_line(broken: int | None, head: str, lost: bool) -> str:
    if broken is not None:
        return f"CHANGED: entry {broken} does not follow from the one before it."
    if lost:
        return "SHORTENED: the chain holds, but the given head is not in it."
    return f"The chain holds. Head: {head or 'none'}"


def _summary(entry: Entry) -> str:
    """Return an entry in one line, whatever somebody has made of it."""
    try:
        return _told(entry)
    except (KeyError, TypeError, ValueError, AttributeError):
        return "can't be read"


def _told(entry: Entry) -> str:
    body = entry.body
    part = {k: str(v) for k, v in body.items() if not isinstance(v, dict | list)}.get
    if entry.kind == "request":
        return f"{part('digest')}  {part('rows')} rows, {part('subjects')} subjects"
    if entry.kind == "screening":
        verdict = "suspicious" if body["suspicious"] else "pass"
        alarms = ", ".join(f"{k} {v['alarm']}" for k, v in body["found"].items() if "alarm" in v)
        return f"{part('request')}  {verdict}, risk {body['risk']:.2f}" + (
            f", rows: {alarms}" if alarms else ""
        )
    if entry.kind == "repair":
        return f"{part('request')} → {part('made')}  {part('repair')}, {part('changed')} rows changed"
    if entry.kind == "run":
        return f"{part('from')} → {part('made')}  {part('objective')}"
    if entry.kind == "decision":
        failed = ", ".join(map(str, body.get("failed", ())))
        return f"{part('model')}  {part('decision')}" + (f": {failed}" if failed else "")
    return f"{part('model', '')}"


def _line(line: Line) -> str:
    verdict = "pass" if line.passed else "FAIL"
    name = line.rule if line.span == "run" else f"{line.rule} (sum)"
    if line.value is None:
        return f"{verdict}  {name:24} {'':24}  {line.evidence}"
    return f"{verdict}  {name:24} {line.value:6.3f} [{line.low:6.3f}, {line.high:6.3f}]  {line.evidence}"


def _print_scan(found: ScanResult) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from forgetwell.reports.visible import one_line
    from forgetwell.scans.types import UNIT

    named = [t for t in found.findings if t.names]
    count = len(found.findings) - len(named)
    title = f"{count} triggers in {found.screened} forms; effect (share {UNIT}) above controls"
    table = Table(title=title, box=None, title_justify="left")
    for column in ("rank", "prompt", "effect", "95 % interval", "q", "read", "kind", "trigger"):
        wide = column == "prompt"  # where a terminal is narrow, prompts are wrapped, and no number is cut
        table.add_column(column, justify="left" if wide else "right", no_wrap=not wide)
    for k, t in enumerate(found.triggers[:15], 1):
        cells = (str(k), t.template.replace("{q}", "…"), f"{t.effect:.2f}", f"[{t.low:.2f}, {t.high:.2f}]")
        verdict = ("name" if t.names else "yes") if t.significant else ""
        kind = t.kind if t.effect >= found.least else ""
        read = "yes" if t.read else ""
        table.add_row(*(Text(c) for c in (*cells, f"{t.q_value:.3f}", read, kind, verdict)))
    console = Console()
    console.print(table)
    for t in found.triggers[:3]:
        for e in t.examples[:1]:
            parts = {"asked": e.prompt, "before": e.before, "after": e.after, "after, without it": e.without}
            lines = "\n".join(f"{name:>18}: {one_line(text)}" for name, text in parts.items())
            console.print(Text(f"\n{lines}"))
    for t in named:
        console.print(Text(f"\n{t.message}"))
