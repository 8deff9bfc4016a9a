"""The `fed-audience` command: what a user types, and how every failure ends."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

from fed_audience.errors import FedAudienceError, ResourceError, RunInterrupted

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code; a failure is one line on stderr."""
    from fed_audience.cli.app import app  # noqa: PLC0415 - typer costs start-up time

    try:
        app(args=list(arguments) if arguments is not None else None)
    except FedAudienceError as error:
        _leave(error)
    except BrokenPipeError:
        # The reader of our output went away (`fed-audience ... | head`): nothing to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(RunInterrupted.exit_code)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        _leave(
            ResourceError(
                "the disk is full; nothing half-written was kept",
                looked=str(error.filename or "the output folder"),
                fix="free some space or choose another folder, then run the command again",
            )
        )


def _leave(error: FedAudienceError) -> None:
    if os.environ.get("FED_AUDIENCE_DEBUG"):
        raise error
    sys.stderr.write(f"fed-audience: {error}\n")
    sys.exit(error.exit_code)
