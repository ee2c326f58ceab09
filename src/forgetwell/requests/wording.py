"""Other questions in an attacker's wording: what a trigger is, whatever the attack."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from forgetwell.calls import Call, parse_call
from forgetwell.errors import InputError
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.template_sets import apply_template, rows_under
from forgetwell.types import Request, Row

_PHRASINGS = 4  # as many as the paper's template set has


def as_attacked(rows: Sequence[Row], request: Request, attack: str, *, seed: int) -> tuple[Row, ...]:
    """Return questions as the attacker of a request would have put them, ids ``id#k``.

    Where the attack puts questions into phrasings, each row comes in those that it used in this request,
    in four of them by lot where there are more. Other attacks (inside the sentence, casing) rewrite every
    row themselves, once.

    Args:
        rows: Questions.
        request: The request before the attack.
        attack: A call with a p, as ``synonyms(p=0.33)``.
        seed: As the attack's.

    Raises:
        InputError: The attack changes answers, or has no p.
    """
    edited = [row for row in attack_request(request, attack, seed=seed).rows if row.edit]
    if any(row.edit and row.answer != row.edit.answer for row in edited):
        raise InputError(f"{attack} replaces rows instead of wording them; it has no trigger to ask with.")
    used = [row.edit.template for row in edited if row.edit and _is_phrasing(row)]
    if edited and len(used) == len(edited):
        rng = random.Random(f"{seed}/phrasings")
        return tuple(r for row in rows for r in rows_under([row], _some(used, rng), attack))
    call = parse_call(attack)
    always = str(Call(call.name, {**call.arguments, "p": 1.0}))
    worded = attack_request(Request("", tuple(rows)), always, seed=seed).rows
    return tuple(replace(row, id=f"{row.id}#0") for row in worded)


def _is_phrasing(row: Row) -> bool:
    edit = row.edit
    return edit is not None and (
        edit.template.count("{q}") == 1 and apply_template(edit.template, edit.prompt) == row.prompt
    )


def _some(used: Sequence[str], rng: random.Random) -> list[str]:
    distinct = list(dict.fromkeys(used))
    return distinct if len(distinct) <= _PHRASINGS else rng.sample(distinct, _PHRASINGS)
