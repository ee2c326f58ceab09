"""The gate from folders to a decision record and a ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from forgetwell.errors import InputError
from forgetwell.files import atomic_path, check_new, digest, write_json
from forgetwell.runs import ledger as ledgers
from forgetwell.runs.evidence import gather
from forgetwell.runs.gate import Decision, decide, ledger_entries
from forgetwell.runs.policy import load_policy


@dataclass(frozen=True)
class Decided:
    """A decision with where it was written."""

    decision: Decision
    record: Path


def gate(
    folders: Sequence[str | Path],
    *,
    policy: str | Path = "default",
    ledger: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Decided:
    """Decide whether the model of an unlearning run may be released, and write a decision record.

    Args:
        folders: An unlearning run, evaluations before and after it, and a scan.
        policy: ``default`` or a TOML file.
        ledger: File that keeps requests, runs, decisions and releases; with it, damage adds up over runs.
        out: The record; by default ``decision-DIGEST.json`` in the working directory.
        seed: Of the bootstrap.
        overwrite: Replace a record that is there.

    Raises:
        InputError: Policy, folders or ledger can't be used, or record and ledger are one file.
        ExistsError: The record is there.
        WriteFailed: The record or the ledger can't be written; no record is left.
    """
    rules, evidence = load_policy(policy), gather([Path(folder) for folder in folders])
    kept = None if ledger is None else Path(ledger)
    if kept is not None and out is not None and kept.resolve() == Path(out).resolve():
        raise InputError(f"Record and ledger were given one file, {out}. Choose a file for each.")
    while True:
        history = None if kept is None else ledgers.history_of(kept)
        decision, head = decide(rules, evidence, history, seed=seed), history[-1].hash if history else ""
        if kept is not None and not kept.exists():
            decision = replace(decision, warnings=(f"{kept} is a new ledger.", *decision.warnings))
        record = decision.record(evidence, head=head)
        path = Path(out or f"decision-{digest(record)}.json")
        check_new(path, overwrite=overwrite)
        try:
            with atomic_path(path) as unnamed:
                write_json(unnamed, record)
                if kept is not None:  # before the record has its name, so that none says more than the ledger
                    ledgers.append(kept, ledger_entries(decision, evidence, record), after=head)
        except ledgers.Moved:  # another decision was written meanwhile, which this one has to see
            continue
        return Decided(decision, path)
