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
    try:
        from fed_audience.cli.app import app  # noqa: PLC0415 - typer costs start-up time

        app(args=list(arguments) if arguments is not None else None)
    except FedAudienceError as error:
        _leave(error)
    except BrokenPipeError:
        # The reader of our output went away (`fed-audience ... | head`): nothing to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(RunInterrupted.exit_code)
    except KeyboardInterrupt:
        _leave(RunInterrupted("stopped by the user before anything began"))
    except OSError as error:
        _leave(_resource_error(error))


def _resource_error(error: OSError) -> ResourceError:
    """Say what the machine refused where no command foresaw it."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        what = "the disk is full; nothing half-written was kept"
        fix = "free some space or choose another folder, then run the command again"
    else:
        what = "the operating system refused; nothing half-written was kept"
        fix = "correct the path or its permissions, then run the command again"
    return ResourceError(
        what, value=error.strerror, looked=str(error.filename or "the output folder"), fix=fix
    )


def _leave(error: FedAudienceError) -> None:
    if os.environ.get("FED_AUDIENCE_DEBUG"):
        raise error
    sys.stderr.write(f"fed-audience: {error}\n")
    sys.exit(error.exit_code)
