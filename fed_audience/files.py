"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from fed_audience.errors import ResourceError

if TYPE_CHECKING:
    from pathlib import Path


def write_whole(path: Path, content: bytes, what: str, *, mode: int = 0o666) -> None:
    """Write ``content`` to ``path``; a file already there is replaced in one step.

    It returns when the disk holds the file under its name. Folders on the way are made; ``what``
    names the file in an error. ``mode``: its permissions, less what the process masks; 0o600 for a
    secret, which nobody else can read at any moment. Raises ResourceError when the disk refuses,
    and leaves then what was there before.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise ResourceError(
            f"{what} could not be written: {error.strerror}",
            value=f"{len(content):,} bytes",
            looked=str(path),
            fix="free some space or give another path; no half-written file was left",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _sync(folder: Path) -> None:
    """Wait until the disk holds the names in ``folder``."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_place(path: Path, what: str, option: str) -> None:
    """Raise ResourceError when no file can be written to ``path``; before hours of work.

    Folders on the way are made; ``what`` and ``option`` name the file and its flag in the error.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        refused = "it is a folder" if path.is_dir() else None
        if refused is None and not os.access(path.parent, os.W_OK):
            refused = "its folder is not writable"
    except OSError as error:
        refused = error.strerror
    if refused:
        raise ResourceError(
            f"{what} cannot be written there",
            value=refused,
            looked=str(path),
            fix=f"give the path of a file with {option}",
        )
