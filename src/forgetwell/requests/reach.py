"""What screens can't see: where request or background are too small for them to find anything."""

from __future__ import annotations

from collections.abc import Sequence

from forgetwell.requests.enrichment import large_subjects
from forgetwell.requests.screening import Evidence
from forgetwell.requests.sentences import read_units
from forgetwell.types import Request

# The fewest rows that a feature, a wording or a casing is found in, and the fewest ordinary prompts of which
# (1 + 0) / (1 + number), the smallest rank p-value, is at most 1 in 20.
_LEAST_ROWS, _LEAST_RANKED = 3, 19
LEAST_KNOWN = 20  # rows that the model knows: of fewer there is no tail to tell
_COUNTING = ("inflation", "templates", "surprise", "strange_words", "mixed_casing", "earlier_turns")
_UNTOLD = (
    "No rows to keep were given: unknown compares with the background's answers, and finds nothing where the "
    "model doesn't know those."
)
_BY_SUBJECT = ("strange_words", "mixed_casing", "foreign_subject", "foreign_answer")


def blind_spots(request: Request, evidence: Evidence, screens: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for each group of these screens that could find nothing, whatever the request holds.

    Questions are counted, or the sentences of plain texts: fewer than 3 hold nothing that too many share. Of
    fewer than 19 ordinary prompts none is the rarest twentieth, of fewer than 20 known rows none a tail.
    Screens that compare with the rows about one subject test nothing where no subject has 5.

    Args:
        request: The request.
        evidence: The background and the rows to keep are used.
        screens: Names of the screens that run.
    """
    rows, kinds = request.rows, {row.text for row in request.rows}
    units = len(read_units(rows, "rows")) + len(read_units(rows, "sentences"))
    prompts = sum(row.text in kinds for row in evidence.background)
    known = len(evidence.known)
    spots = (
        (_COUNTING, units < _LEAST_ROWS, f"Too few rows ({units} of at least {_LEAST_ROWS})"),
        (("surprise",), prompts < _LEAST_RANKED, f"Too few prompts ({prompts} of at least {_LEAST_RANKED})"),
        (("unknown",), known < LEAST_KNOWN, f"Too few known rows ({known} of at least {LEAST_KNOWN})"),
        (_BY_SUBJECT, not large_subjects(evidence.background), "No background subject with 5 rows"),
    )  # fmt: skip
    told = ((why, [name for name in names if name in screens]) for names, blind, why in spots if blind)
    found = [f"{why}: {', '.join(names)} could find nothing." for why, names in told if names]
    return (*found, *([_UNTOLD] if "unknown" in screens and not evidence.retain else []))
