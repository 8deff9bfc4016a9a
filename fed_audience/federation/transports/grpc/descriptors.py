"""File descriptors: a system's first limit, 1,024 a process, is reached at 340 sites."""

from __future__ import annotations

import logging
import resource
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_A_SITE: Final = 3
"""Its connection, and both ends of the Unix socket behind the gate."""

_BESIDE: Final = 1_024
"""Strangers and visitors, journals, logs, libraries."""


def make_room_for(sites: int) -> None:
    """Raise this process's soft limit as far as ``sites`` need, or its hard limit lets it.

    Logs a warning when that is not far enough: connections beyond it would wait for ever.
    """
    needed = _A_SITE * sites + _BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    if allowed < needed:
        _LOG.warning(
            "this process may open %s files, %s sites need %s: raise its limit "
            "(LimitNOFILE= in systemd, ulimit -Hn in a shell)",
            f"{allowed:,}",
            f"{sites:,}",
            f"{needed:,}",
            extra={"event": "few_descriptors"},
        )
