"""Seconds, processor seconds and memory of the running process."""

from __future__ import annotations

import os
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_STAT: Final = Path("/proc/self/stat")
_STARTED: Final = 19
"""Place of ``starttime`` behind the command in /proc/self/stat, see proc(5)."""
_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")


@dataclass(frozen=True, slots=True)
class Seconds:
    """Elapsed time, and processor time of all threads of the process."""

    wall: float
    cpu: float

    @classmethod
    def here(cls) -> Self:
        """Read both clocks; differences of two readings mean something."""
        return cls(time.perf_counter(), time.process_time())

    def since(self, earlier: Seconds) -> Seconds:
        """Time from ``earlier`` to this reading."""
        return Seconds(self.wall - earlier.wall, self.cpu - earlier.cpu)


def since_process_start() -> Seconds:
    """Time since the operating system started this process; elapsed to a hundredth of a second."""
    ticks = int(_STAT.read_text(encoding="ascii").rpartition(")")[2].split()[_STARTED])
    started = ticks / os.sysconf("SC_CLK_TCK")
    return Seconds(time.clock_gettime(time.CLOCK_BOOTTIME) - started, time.process_time())


def restart_peak() -> int:
    """Let ``peak_bytes`` begin anew; return the bytes that are resident at this moment.

    Where the kernel does not offer it, the peak is that since the process began.
    """
    with suppress(OSError):
        _CLEAR.write_text("5", encoding="ascii")
    return _status("VmRSS") or peak_bytes()


def peak_bytes() -> int:
    """Most bytes resident since the last ``restart_peak``, or since the process began."""
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(name: str) -> int | None:
    try:
        lines = _STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)
