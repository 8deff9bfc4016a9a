"""A command that gets so many seconds: what it printed until then, and no process left of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parents[2]


def lines_of(command: Sequence[str], seconds: float) -> tuple[list[str], str]:
    """Run ``command``; return its whole lines, and why it did not come to its end, if so.

    After ``seconds``, and however this function is left, the command and all processes that it
    started are killed: they are a session of their own.
    """
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True
    )
    assert process.stdout is not None  # noqa: S101 - it is piped
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(process.pid)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    lines = []
    try:
        for line in process.stdout:
            if line.endswith("\n"):
                lines.append(line)
                sys.stderr.write(f"measured: {line[:200].rstrip()}\n")
        code = process.wait()
    finally:
        timer.cancel()
        _kill(process.pid)
        process.wait()
        process.stdout.close()
    if late.is_set():
        return lines, f"ended after {seconds:g} seconds"
    return lines, f"failed with exit code {code}, see above" if code else ""


def _kill(session: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
