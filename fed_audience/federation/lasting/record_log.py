"""An append-only file of records: what was written whole is read again.

Layout, little-endian: a title in one line of ASCII, which names what the file holds and its
version; then records. A record is its length (u32), its kind (u8), three bytes that check these
five, the content, and 16 bytes of BLAKE2b (RFC 7693) over the record and all before it.
"""

from __future__ import annotations

import fcntl
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Self

from fed_audience.errors import FederationError, ResourceError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

VERSION: Final = 1
_HEAD: Final = struct.Struct("<IB3s")
_CHAIN_BYTES: Final = 16
_MODE: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Record:
    """One entry: ``kind`` (0 to 255) says what ``content`` is."""

    kind: int
    content: bytes


class RecordLog:
    """The log at ``path``, held by this process alone until it is closed or ends.

    ``records``: those that were found, until the first is appended. ``what`` names the file in
    errors and in its title. Reading cuts off a last record that was not written to its end;
    ``torn`` tells how many bytes that were. Raises FederationError for a file whose records are
    not those that were written, ResourceError where the disk refuses or another process holds it.
    """

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.torn = 0
        self._end, self._chain = 0, b""
        self._what = what
        title = f"fed-audience {what}, version "
        self._title = f"{title}{VERSION}\n".encode("ascii")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, _MODE, 0o600)
        except OSError as error:
            raise self._refused(error) from error
        try:
            self._take_alone()
            self.records = self._read(title.encode("ascii"))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, kind: int, content: bytes, *, durable: bool = True) -> None:
        """Write a record behind the others; when ``durable``, wait until the disk holds them all.

        A record that the disk refuses leaves the file as it was, and closes it.
        """
        self.records = []
        head = _head(len(content), kind)
        chain = _link(self._chain, head, content)
        try:
            for part in (head, content, chain):
                _write_all(self._file, part)
            if durable:
                os.fdatasync(self._file)
        except OSError as error:
            raise self._given_up(error) from error
        self._chain = chain
        self._end += len(head) + len(content) + len(chain)

    def flush(self) -> None:
        """Wait until the disk holds all records."""
        try:
            os.fdatasync(self._file)
        except OSError as error:
            raise self._given_up(error) from error

    def close(self) -> None:
        """Let the file go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _take_alone(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ResourceError(
                f"another process holds the {self._what}",
                looked=str(self.path),
                fix="end the other process, or give this one a folder of its own",
            ) from None

    def _read(self, title: bytes) -> list[Record]:
        """Read all records, cut off a torn end, and stand behind the last one."""
        try:
            text = self.path.read_bytes()
            records = self._records(text, title)
            if not text.startswith(self._title):
                self._begin()
            elif self.torn:
                os.ftruncate(self._file, self._end)
                os.fdatasync(self._file)
            os.lseek(self._file, self._end, os.SEEK_SET)
        except OSError as error:
            raise self._refused(error) from error
        return records

    def _begin(self) -> None:
        """Write the title, and wait until the disk holds it and the file's name."""
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        _write_all(self._file, self._title)
        os.fsync(self._file)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _records(self, text: bytes, title: bytes) -> list[Record]:
        self._end, self._chain = len(self._title), self._title
        if not text.startswith(self._title):
            if not self._title.startswith(text.rstrip(b"\0")):
                raise self._damaged(text, title)
            self.torn = len(text)
            return []
        records: list[Record] = []
        while (left := len(text) - self._end) > 0:
            record = self._record(text, len(records) + 1)
            if record is None:
                self.torn = left
                break
            records.append(record)
        return records

    def _record(self, text: bytes, number: int) -> Record | None:
        """Read the record at the end of what was read; None when it was not written to its end.

        A disk that lost its power may have made the file longer and filled it with zeros.
        """
        rest = memoryview(text)[self._end :]
        if len(rest) < _HEAD.size or not any(rest):
            return None
        length, kind, _ = _HEAD.unpack_from(rest)
        head, size = bytes(rest[: _HEAD.size]), _HEAD.size + length + _CHAIN_BYTES
        if head != _head(length, kind):
            raise self._broken(number)
        if len(rest) < size or (len(rest) == size and not any(rest[-_CHAIN_BYTES:])):
            return None
        content = bytes(rest[_HEAD.size : _HEAD.size + length])
        chain = _link(self._chain, head, content)
        if chain != rest[_HEAD.size + length : size]:
            raise self._broken(number)
        self._end, self._chain = self._end + size, chain
        return Record(kind, content)

    def _broken(self, number: int) -> FederationError:
        return FederationError(
            f"the {self._what} is damaged: record {number} is not the one that was written",
            value=f"byte {self._end:,}",
            looked=str(self.path),
            fix="put the whole folder back from a copy that is not older, or begin a new run",
        )

    def _damaged(self, text: bytes, title: bytes) -> FederationError:
        found = text.split(b"\n", 1)[0][:60]
        if found.startswith(title):
            return FederationError(
                f"the {self._what} was written by another version of fed-audience",
                value=found.decode("ascii", "replace"),
                limit=f"version {VERSION}",
                looked=str(self.path),
                fix="end the run with the version that began it, or begin a new run",
            )
        return FederationError(
            f"the {self._what} is damaged: it does not begin as one",
            looked=str(self.path),
            fix="put the whole folder back from a copy that is not older, or begin a new run",
        )

    def _given_up(self, error: OSError) -> ResourceError:
        """Leave the file with the records before, for who opens it anew."""
        with suppress(OSError):
            os.ftruncate(self._file, self._end)
        self.close()
        return self._refused(error)

    def _refused(self, error: OSError) -> ResourceError:
        return ResourceError(
            f"the {self._what} cannot be written: {error.strerror}",
            looked=str(self.path),
            fix="free some space or mend the folder's permissions; then resume the run, of which "
            "nothing is lost",
        )


def _head(length: int, kind: int) -> bytes:
    check = blake2b(struct.pack("<IB", length, kind), digest_size=3).digest()
    return _HEAD.pack(length, kind, check)


def _link(chain: bytes, head: bytes, content: bytes) -> bytes:
    """Hash over a record and all before it."""
    digest = blake2b(chain, digest_size=_CHAIN_BYTES)
    digest.update(head)
    digest.update(content)
    return digest.digest()


def _write_all(file: int, part: bytes) -> None:
    left = memoryview(part)
    while left:
        left = left[os.write(file, left) :]
