"""A file of every message that crossed a site's border, byte for byte.

Layout, little-endian: magic ``FAUE``, version (u8); then for each message its direction (u8, 1
from the site), length of the site's name (u16), length of the body (u32), name (UTF-8) and body.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Self

from fed_audience.errors import DataError, ResourceError
from fed_audience.federation.transport import Envelope

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

RECORDING_VERSION: Final = 1
_HEAD: Final = b"FAUE" + bytes([RECORDING_VERSION])
_FRAME: Final = struct.Struct("<BHI")


class Recording:
    """Writes a recording: hand it to a transport as ``on_message``, within its context.

    The file appears under its name when the context is left, also after an error: what left the
    sites until then is in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f"{path.name}.unfinished")
        try:
            self._file = self._unfinished.open("wb")
        except OSError as error:
            raise ResourceError(
                "the recording cannot be written",
                value=error.strerror,
                looked=str(path),
                fix="choose another path for --record-egress",
            ) from error
        self._file.write(_HEAD)

    def __call__(self, envelope: Envelope) -> None:
        """Write one message."""
        self._file.write(_frame(envelope))
        self._file.write(envelope.body)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._unfinished.replace(self._path)


def recording_of(envelope: Envelope) -> bytes:
    """Return a recording of one message."""
    return _HEAD + _frame(envelope) + envelope.body


def read_recording(path: Path) -> Iterator[Envelope]:
    """Yield the messages of a recording; raises DataError for a file that is none, or cut short."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(
            "the recording cannot be read",
            value=error.strerror,
            looked=str(path),
            fix="give a file that was written with --record-egress, or by `fed-audience overlap`",
        ) from error
    with file:
        if file.read(len(_HEAD)) != _HEAD:
            raise DataError(
                "the file is no recording of messages",
                limit=f"version {RECORDING_VERSION}",
                looked=str(path),
                fix="give a file that this version wrote with --record-egress, or by "
                "`fed-audience overlap`",
            )
        while frame := file.read(_FRAME.size):
            yield _read_message(file, frame, path)


def _frame(envelope: Envelope) -> bytes:
    site = envelope.site.encode()
    direction = int(envelope.direction == "from_site")
    return _FRAME.pack(direction, len(site), len(envelope.body)) + site


def _read_message(file: BinaryIO, frame: bytes, path: Path) -> Envelope:
    begin = file.tell() - len(frame)
    if len(frame) == _FRAME.size:
        direction, name_bytes, body_bytes = _FRAME.unpack(frame)
        name, body = file.read(name_bytes), file.read(body_bytes)
        if direction in (0, 1) and (len(name), len(body)) == (name_bytes, body_bytes):
            site = name.decode(errors="replace")
            return Envelope(site, "from_site" if direction else "to_site", body)
    raise DataError(
        "the recording is damaged or cut short",
        value=f"the message that begins at byte {begin:,}",
        looked=str(path),
        fix="write it again; the part before it can be trusted",
    )
