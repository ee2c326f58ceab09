from dataclasses import replace

from forgetwell.experiments.repairing import RepairOutcome, _compared, outcome_table, total
from forgetwell.experiments.screening_attacks import Attacked
from forgetwell.types import Finding, Request, Row


def request(*prompts):
    return Request("r", tuple(Row(str(i), prompt, "A") for i, prompt in enumerate(prompts) if prompt))


def test_rows_are_counted_by_what_the_repair_made_of_them():
    honest = request("Who is A?", "Who is B?", "Who is C?", "Who is D?", "Who is E?")
    framed = ("Please, who is A?", "Please, who is B?", "Please, who is C?")
    attacked = request(*framed, "Who is D?", "Who is E?")
    # given back but for casing; still framed; left out; cut though it was honest; as it was
    repaired = request("who is A?", "Please, who is B?", "", "Who?", "Who is E?")
    findings = [
        Finding("s", i, (0, 6), level, 1.0, None, "m")
        for i, level in (("0", "alarm"), ("2", "alarm"), ("1", "info"), ("3", "alarm"))
    ]
    found = _compared(Attacked(honest, attacked), repaired, findings, still_flagged=True)
    assert found == RepairOutcome(
        requests=1,
        flagged=1,
        still_flagged=1,
        rewritten=3,
        found=2,
        returned=1,
        dropped=1,
        honest=2,
        harmed=1,
    )
    both = total([found, replace(found, flagged=0)])
    assert (both.requests, both.flagged, both.rewritten) == (2, 1, 6)
    assert outcome_table({"stealthy": both}).splitlines()[-1] == (
        "| `stealthy` | 1 of 2 | 4 of 6 | 2 (33%) | 2 | 2 of 4 | 2 |"
    )


def test_a_row_with_another_answer_is_not_the_original():
    honest, attacked = request("Who is A?"), request("Who is B?")
    swapped = Request("r", (Row("0", "Who is A?", "other"),))
    assert _compared(Attacked(honest, attacked), swapped, (), still_flagged=False).returned == 0
