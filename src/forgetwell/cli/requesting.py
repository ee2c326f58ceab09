"""Commands that make requests: as an attacker would write them, and with other answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forgetwell.cli.app import app, check_columns, progress_bar, read_request_from

if TYPE_CHECKING:
    from forgetwell.types import Request


@app.command(name="attack-request")
def attack_request(
    request: str,
    *,
    attack: str,
    out: Path,
    seed: int = 0,
    columns: str | None = None,
    overwrite: bool = False,
) -> None:
    """Rewrite a forget request as a malicious requester would.

    Args:
        request: File with the rows to forget.
        attack: An attack with its hyperparameters, as "stealthy(p=0.33)".
        out: File for the attacked request (.jsonl or .jsonl.gz).
        seed: Of the attack.
        columns: Names of the columns, as prompt=q,answer=a.
        overwrite: Replace a file that is there.
    """
    from forgetwell.data.row_files import check_output, write_rows
    from forgetwell.requests.attacks import attack_request

    check_output(out, overwrite=overwrite)
    check_columns(columns, request)
    honest = read_request_from(request, columns)
    attacked = attack_request(honest, attack, seed=seed)
    write_rows(out, attacked.rows)
    before = {row.id: row for row in honest.rows}
    edited = sum(before.get(row.id) != row for row in attacked.rows)
    done = f"{edited} of {len(attacked.rows)} rows rewritten or added"
    print(f"{attacked.history[-1]}: {done}{_inserted(honest, attacked, attack)}. Written: {out}")


def _inserted(honest: Request, attacked: Request, attack: str) -> str:
    """Say which share of all tokens an attack inserted, if it did, and for the paper's what is expected.

    Tokens are the default model's; where it isn't here, words are counted instead.
    """
    from forgetwell.calls import parse_call
    from forgetwell.models.smollm2 import token_counter
    from forgetwell.requests.attacks import ATTACKS
    from forgetwell.requests.stealthy import expected_inserted_share, inserted_share
    from forgetwell.requests.template_sets import load_templates
    from forgetwell.requests.words import words_once

    tokens = token_counter()
    count = tokens or (lambda text: len(words_once(text)))
    unit = "tokens (SmolLM2's)" if tokens else "words (for tokens: forgetwell fetch smollm2)"
    share = inserted_share(honest.rows, attacked.rows, count)
    said = f"; {share:.2%} of its {unit} are inserted" if share > 0 else ""
    item, settings = ATTACKS.resolve(parse_call(attack))
    if item.name != "stealthy" or settings["sentences"] < 1 or not said:
        return said
    expected = expected_inserted_share(
        honest.rows, load_templates(settings["templates"]), settings["p"], count
    )
    return f"{said} ({expected:.2%} expected)"


@app.command
def alternates(
    request: str,
    *,
    model: str,
    out: Path,
    count: int = 5,
    trust: bool = False,
    temperature: float = 1.0,
    seed: int = 0,
    columns: str | None = None,
    dtype: str = "auto",
    overwrite: bool = False,
) -> None:
    """Write other plausible answers to a request's questions, for altpo and unwanted=facts.

    A requester who writes them chooses what is taught: those in the file, and its focus, are left out.

    Args:
        request: File with the rows to forget.
        model: Writes the answers: smollm2, a folder or a hub id; a larger model writes better ones.
        out: File for the rows with their alternatives (.jsonl or .jsonl.gz).
        count: Alternatives a row.
        trust: Keep the file's own alternatives and focus, and write only what is missing.
        temperature: Of sampling.
        seed: Of sampling.
        columns: Names of the columns, as prompt=q,answer=a.
        dtype: Compute type: auto, float32 or bfloat16.
        overwrite: Replace a file that is there.
    """
    from forgetwell.data.row_files import check_output, write_rows
    from forgetwell.methods.alternates import add_alternates
    from forgetwell.models.lm import load

    check_output(out, overwrite=overwrite)
    check_columns(columns, request)
    asked = read_request_from(request, columns)
    lm = load(model, dtype=dtype)
    with progress_bar("writing alternatives") as progress:
        rows = add_alternates(
            lm, asked.rows, count=count, trust=trust, temperature=temperature, seed=seed, progress=progress
        )
    write_rows(out, rows)
    brought = sum(len(r.wrong) for r in asked.rows)
    added = sum(len(r.wrong) for r in rows) - (brought if trust else 0)
    own = f" {brought} of the request's own {'kept' if trust else 'left out'}." if brought else ""
    print(f"{added} alternatives for {len(rows)} rows.{own} Written: {out}")
