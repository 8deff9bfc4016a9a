"""One process at a time in a folder: a lock that is held while anything of it is in use."""

from __future__ import annotations

import fcntl
import os
import threading
import weakref
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LOCK_FILE: Final = ".lock"
_GUARD: Final = threading.Lock()


class FolderLock:
    """An advisory lock (flock) of one folder, given free with the last who refers to it.

    The system gives it free when the process ends, however it ends.
    """

    def __init__(self, folder: Path) -> None:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        weakref.finalize(self, os.close, descriptor)


_HELD: Final[weakref.WeakValueDictionary[Path, FolderLock]] = weakref.WeakValueDictionary()


def lock_of(folder: Path) -> FolderLock:
    """Return this process's lock of ``folder``, shared by all who ask for it.

    Raises BlockingIOError while another process holds it, OSError where there can be none.
    """
    with _GUARD:
        place = folder.resolve()
        found = _HELD.get(place)
        if found is None:
            found = _HELD[place] = FolderLock(place)
        return found
