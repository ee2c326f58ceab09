"""The command line."""

from __future__ import annotations

import codecs
import io
import json
import sys


def main() -> None:
    """Run the command line; user errors print one plain message and exit with 2."""
    from forgetwell.models.processes import end_processes

    codecs.register_error("escaped", _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="escaped")
    try:
        _run()
    except SystemExit as ending:
        end_processes(ending.code if isinstance(ending.code, int) else int(ending.code is not None))
        raise


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Write what a terminal's encoding lacks as JSON does, so that JSON stays what it was."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _run() -> None:
    from forgetwell.cli import (  # noqa: F401 - they add their commands
        benching,
        judging,
        listing,
        measuring,
        requesting,
        screening,
        training,
        tuning,
    )
    from forgetwell.cli.app import app, is_first_process
    from forgetwell.cli.config import expand, take_used
    from forgetwell.errors import told
    from forgetwell.models.processes import says_first
    from forgetwell.own import use

    try:
        with told("forgetwell", first=says_first):
            arguments, files = take_used(expand(sys.argv[1:]))
            for file in files:
                use(file)
            app(arguments)
    except KeyboardInterrupt:
        if is_first_process():
            print("\nStopped. A run with checkpoints goes on with --resume.", file=sys.stderr)
        sys.exit(130)
