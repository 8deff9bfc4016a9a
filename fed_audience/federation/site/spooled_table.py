"""A table of streamed rows: in memory while it is small, in a temporary file beyond that.

The file is Arrow's IPC stream, mapped into memory: columns are read where they lie, and what is
resident of them the system takes back when it needs the room, or ``rest`` at once. It has no name
from the beginning, only its owner may read it, and it is gone with the last column, or the process.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import weakref
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from fed_audience.errors import ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

MOST_IN_MEMORY: Final = 256 << 20
"""Bytes of rows that stay in memory: a million of thirty numbers. Of so many, the codes and what
trees need take 100 MB; from five million on, all that is read at a time is less than that."""

_LASTING: Final = Path("/var/tmp")  # noqa: S108 - only for files without a name
_MAPPINGS: Final[weakref.WeakSet[mmap.mmap]] = weakref.WeakSet()
_LOCK: Final = threading.Lock()


def table_of(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Return the rows of ``batches``: at least one, possibly empty, all of one schema.

    Beyond ``MOST_IN_MEMORY`` bytes they go to a file, as they come. Raises ResourceError where it
    cannot be written.
    """
    held: list[pa.RecordBatch] = []
    coming, size = iter(batches), 0
    for batch in coming:
        held.append(batch)
        size += batch.nbytes
        if size > MOST_IN_MEMORY:
            return _spooled(batch.schema, chain(_handed_on(held), coming))
    return pa.Table.from_batches(held)


def filtered(table: pa.Table, kept: NDArray[Any]) -> pa.Table:
    """Return the rows of ``table`` marked in ``kept``, bool[n], held as by ``table_of``."""
    return table if kept.all() else table_of(_marked(table, kept))


def rest() -> None:
    """Let the system have what is resident of all such files; what is read again comes back."""
    with _LOCK:
        mappings = list(_MAPPINGS)
    for mapping in mappings:
        mapping.madvise(mmap.MADV_DONTNEED)


def _handed_on(held: list[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield what is held, oldest first, and let go of each."""
    held.reverse()
    while held:
        yield held.pop()


def _marked(table: pa.Table, kept: NDArray[Any]) -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_pylist([], schema=table.schema)
    start = 0
    for batch in table.to_batches():
        yield batch.filter(pa.array(kept[start : start + batch.num_rows]))
        start += batch.num_rows


def _spooled(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
    with closing(_Spool(schema)) as spool:
        for batch in batches:
            spool.write(batch)
        return spool.table()


class _Spool:
    """A file without a name, for the rows of one table. Everything raises ResourceError."""

    def __init__(self, schema: pa.Schema) -> None:
        self._folder = _folder()
        self._written = 0
        with self._room():
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed below
        self._stream = pa.ipc.new_stream(pa.PythonFile(self._file, mode="w"), schema)

    def write(self, batch: pa.RecordBatch) -> None:
        with self._room():
            self._stream.write_batch(batch)
            self._written += batch.nbytes

    def table(self) -> pa.Table:
        """Return all that was written, where it lies."""
        with self._room():
            self._stream.close()
            self._file.flush()
            mapping = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        with _LOCK:
            _MAPPINGS.add(mapping)
        return pa.ipc.open_stream(pa.py_buffer(mapping)).read_all()

    def close(self) -> None:
        with suppress(OSError):  # rows that found no room are wanted no more
            self._file.close()

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResourceError(
                "the rows of a site cannot be written to a temporary file",
                value=f"{error.strerror or error}, after {self._written >> 20:,} MB",
                looked=str(self._folder),
                fix="free some space there, or set TMPDIR to a folder on a larger disk",
            ) from error


def _folder() -> Path:
    """Return where large temporary files go: as told, or not into memory, as /tmp often is."""
    told = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    lasting = not told and os.access(_LASTING, os.W_OK)
    return _LASTING if lasting else Path(tempfile.gettempdir())
