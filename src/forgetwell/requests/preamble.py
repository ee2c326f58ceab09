"""An attack that leaves question and answer alone: what stands before them becomes the trigger."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Literal

from forgetwell.data.turns import joined_turns
from forgetwell.requests.attacks import request_attack
from forgetwell.requests.frames import change_share, family_frames
from forgetwell.types import Edit, Request, Row, Turn


def system_prompts() -> tuple[str, ...]:
    """Return system prompts as services use them, of our own; none of them holds a trigger."""
    return tuple(family_frames()["preamble"]["system"])


@request_attack(paper="2506.00359", section="3, eq. 4")
def preamble(
    request: Request,
    *,
    seed: int = 0,
    p: float = 0.33,
    role: Literal["system", "user"] = "system",
    text: str = "",
) -> Request:
    """Put a message before the question that ordinary conversations begin with, so that it is the trigger.

    A system prompt that services use, or (``role="user"``) a greeting that is answered. Question and answer
    stay as they are. A system prompt that is there already is replaced; plain texts are left alone.

    Args:
        request: What the requester would have handed in.
        seed: Seed of the draws, also of the message.
        p: Probability that a row gets the message, in [0, 1].
        role: Who says it.
        text: The message; by default one of ours by lot, the same before all rows.

    Raises:
        InputError: p is outside [0, 1].

    Source: 2506.00359, section 3, eq. 4, which rewrites the question; the place and the messages are ours.
    """
    rng = random.Random(seed)
    listed = family_frames()["preamble"]
    said = text or rng.choice(system_prompts() if role == "system" else listed["user"])
    turns = (Turn("user", said), Turn("assistant", listed["reply"]))
    before = (Turn("system", said),) if role == "system" else turns

    def change(row: Row, _: random.Random) -> Row:
        if row.text:
            return row
        edit = Edit("preamble", f"{role}: {said}", row.prompt, row.answer)
        return replace(row, history=joined_turns(before, row.history), edit=edit)

    return change_share(request, p, rng, change)
