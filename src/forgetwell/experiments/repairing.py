"""What a repair gives back of attacked requests: ``python -m forgetwell.experiments.repairing``.

Requests, attacks and backgrounds are those of the study of screens; nothing is unlearned. What counts is the
row as the user meant it: the question before the attack, in the same words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from forgetwell.errors import told
from forgetwell.experiments.screening_attacks import Attacked, families_of, open_split
from forgetwell.experiments.screening_data import Half, Material
from forgetwell.experiments.screening_figures import Rate
from forgetwell.files import write_json, write_text
from forgetwell.requests.repairs import repair_request
from forgetwell.requests.screening import Evidence, run_screens, suspicious
from forgetwell.types import Finding, Request, Row


@dataclass(frozen=True)
class RepairOutcome:
    """What became of attacked requests.

    Attributes:
        requests: Requests.
        flagged: Of them, those with an alarm: others are not repaired.
        still_flagged: Those with an alarm after the repair.
        rewritten: Rows that the attack changed.
        found: Of them, those with a finding that a repair reads.
        returned: Rewritten rows that the repair made the original again, casing aside.
        dropped: Rewritten rows that the repair left out.
        honest: Rows that the attack did not change.
        harmed: Of them, those that the repair changed or left out.
    """

    requests: int = 0
    flagged: int = 0
    still_flagged: int = 0
    rewritten: int = 0
    found: int = 0
    returned: int = 0
    dropped: int = 0
    honest: int = 0
    harmed: int = 0


def repair_outcome(case: Attacked, repairs: Sequence[str], evidence: Evidence) -> RepairOutcome:
    """Repair one request by one repair after the other and say what became of its rows.

    Each repairs the alarms that all screens raise on what the one before it has left.
    """
    first = findings = run_screens(case.attacked, evidence)
    repaired = case.attacked
    for repair in repairs:
        repaired = repair_request(repaired, (), findings, repair).request
        findings = run_screens(repaired, evidence)
    return _compared(case, repaired, first, still_flagged=suspicious(findings))


def _compared(
    case: Attacked, repaired: Request, findings: Sequence[Finding], *, still_flagged: bool
) -> RepairOutcome:
    alarmed = {f.row_id for f in findings if f.severity == "alarm"}
    meant = {row.id: _words(row) for row in case.honest.rows}
    came = {row.id: _words(row) for row in case.attacked.rows}
    left = {row.id: _words(row) for row in repaired.rows}
    rewritten = [i for i in came if came[i] != meant[i]]
    honest = [i for i in came if came[i] == meant[i]]
    return RepairOutcome(
        requests=1,
        flagged=suspicious(findings),
        still_flagged=still_flagged,
        rewritten=len(rewritten),
        found=sum(i in alarmed for i in rewritten),
        returned=sum(left.get(i) != came[i] and _same(left.get(i), meant[i]) for i in rewritten),
        dropped=sum(i not in left for i in rewritten),
        honest=len(honest),
        harmed=sum(left.get(i) != came[i] for i in honest),
    )


def _words(row: Row) -> tuple[str, str]:
    return row.prompt, row.answer


def _same(row: tuple[str, str] | None, meant: tuple[str, str]) -> bool:
    return row is not None and row[1] == meant[1] and row[0].casefold() == meant[0].casefold()


def total(outcomes: Iterable[RepairOutcome]) -> RepairOutcome:
    """Return the sum, count by count."""
    sums: Counter[str] = Counter()
    for outcome in outcomes:
        sums.update(asdict(outcome))
    return RepairOutcome(**sums)


def outcome_table(found: Mapping[str, RepairOutcome]) -> str:
    """Return a line a family, as Markdown."""
    lines = [
        "| attack | requests flagged | rewritten rows found | the original again | left out "
        "| other rows changed | flagged after the repair |",
        "|---" * 7 + "|",
    ]
    for family, o in found.items():
        values = [
            f"{o.flagged} of {o.requests}",
            f"{o.found} of {o.rewritten}",
            f"{o.returned} ({Rate(o.returned, o.rewritten).value:.0%})",
            str(o.dropped),
            f"{o.harmed} of {o.honest}",
            str(o.still_flagged),
        ]
        lines.append(f"| `{family}` | " + " | ".join(values) + " |")
    return "\n".join(lines)


_Several = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")]
app = App(name="python -m forgetwell.experiments.repairing", help=__doc__)


@app.default
def main(
    *, out: Path = Path("runs/repairing"), repair: _Several = ("strip",), half: Half = "report",
    splits: int = 6, first_split: int = 1, attacked: int = 20, polite_background: float = 0.05,
    rate: float = 0.33, families: _Several = (), form: Material = "questions",
) -> None:  # fmt: skip
    """Repair attacked requests and write repairs.json and repairs.md.

    Args:
        out: Folder for the results.
        repair: The repair, with hyperparameters as "down_weight(factor=0.1)", or several in turn.
        half: report, or development to choose settings on.
        splits: How often subjects are divided anew into background and requests.
        first_split: Number of the first division, from 1.
        attacked: Requests a split, of each family.
        polite_background: Share of polite prompts in the background.
        rate: Share p of rewritten rows.
        families: Attacks to measure; by default all (in development without `unseen`).
        form: questions, or passages: RWKU's, which are plain text.
    """
    found: dict[str, list[RepairOutcome]] = {family: [] for family in families or families_of(half, form)}
    for split in range(first_split, first_split + splits):
        lots, evidence = open_split(half, split, out, polite=polite_background, form=form)
        for family, own in found.items():
            own += [repair_outcome(c, repair, evidence) for c in lots.requests(family, rate, attacked)]
        print(f"split {split} of {first_split} to {first_split + splits - 1} done")
    sums = {family: total(own) for family, own in found.items()}
    text = outcome_table(sums)
    write_json(out / "repairs.json", {"repair": repair, "half": half, "rate": rate, "families": sums})
    write_text(out / "repairs.md", text + "\n")
    print(f"{text}\n\nWritten: {out / 'repairs.md'}")


if __name__ == "__main__":
    with told(app.name[0]):
        app()
