"""Memory that was freed, given back: allocators keep it for later, which is a training's length."""

from __future__ import annotations

import ctypes
from typing import Final

import pyarrow as pa

_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library alone


def give_back() -> None:
    """Return to the system what Arrow and the C library hold and do not use.

    Reading and encoding leave behind some 15 bytes a row.
    """
    pa.default_memory_pool().release_unused()
    if _TRIM is not None:
        _TRIM(0)
