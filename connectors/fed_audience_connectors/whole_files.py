"""Files that are there whole, or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from fed_audience.errors import DestinationError, FedAudienceError, ResourceError

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_MODE = 0o640


def write_whole(path: Path, content: bytes) -> None:
    """Write to a temporary in the same folder, flush it to the disk, then rename it.

    Folders are made as needed; files are for owner and group. Raises ResourceError when the disk
    is full and DestinationError when the place cannot be written; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), _MODE)
            os.fsync(file.fileno())
        temporary.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise as_file_error(error, path) from error
    finally:
        if temporary is not None:
            with suppress(FileNotFoundError):
                temporary.unlink()


def as_file_error(error: OSError, path: Path) -> FedAudienceError:
    """Return the error of ours that says what an OSError at ``path`` means."""
    if error.errno in _NO_ROOM:
        return ResourceError(
            "no room left for the destination's files",
            value=error.strerror,
            looked=str(path.parent),
            fix="free disk space, then run the sync again; nothing was half-written",
        )
    return DestinationError(
        "the destination's folder cannot be used",
        value=error.strerror,
        looked=str(path.parent),
        fix="correct the folder or its permissions, then run the sync again",
    )


def _flush_folder(folder: Path) -> None:
    # The rename itself must survive a power cut, or state would be ahead of the disk.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
