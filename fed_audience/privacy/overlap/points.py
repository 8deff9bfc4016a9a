"""Many points at a time, by several processes: one a core, each with chunks of a list."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from fed_audience.privacy.overlap import chunks, group
from fed_audience.privacy.overlap.refusals import OverlapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

Points = NDArray[np.uint8]
"""One point a row, uint8[n, 32]."""

ChunkT = TypeVar("ChunkT")
CHUNK: Final = 2_048
_WORTH_PROCESSES: Final = 8 * CHUNK
"""Points from which starting processes pays; below, the work is done here."""


class Workers:
    """Who multiplies. Use as a context, which ends the processes; a short list needs none.

    ``processes``: at most so many, by default one a core. ``on_points``: told of points done.
    """

    def __init__(
        self, processes: int | None = None, on_points: Callable[[int], None] = lambda _: None
    ) -> None:
        self.processes = processes or len(os.sched_getaffinity(0))
        self._on_points = on_points
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def hidden(self, texts: Sequence[str], salt: bytes, scalar: bytes) -> Points:
        """Return ``scalar`` times the point of each text, under ``salt``."""
        parts = [texts[at : at + CHUNK] for at in range(0, len(texts), CHUNK)]
        return self._joined(partial(chunks.hidden, salt, scalar), parts, len(texts))

    def raised(self, points: Points, scalar: bytes) -> Points:
        """Return ``scalar`` times each point.

        Raises OverlapError (bad_point) for what is no point, or the identity.
        """
        parts = [points[at : at + CHUNK].tobytes() for at in range(0, len(points), CHUNK)]
        return self._joined(partial(chunks.raised, scalar), parts, len(points))

    def _joined(
        self, work: Callable[[ChunkT], bytes | None], parts: Sequence[ChunkT], count: int
    ) -> Points:
        group.sodium()
        done: list[bytes] = []
        for product in self._mapped(work, parts, count):
            if product is None:
                raise OverlapError("bad_point", detail=f"among points {len(done) * CHUNK:,} ff.")
            done.append(product)
            self._on_points(len(product) // group.POINT_BYTES)
        return np.frombuffer(b"".join(done), np.uint8).reshape(-1, group.POINT_BYTES)

    def _mapped(
        self, work: Callable[[ChunkT], bytes | None], parts: Sequence[ChunkT], count: int
    ) -> Iterator[bytes | None]:
        if self.processes == 1 or count < _WORTH_PROCESSES:
            return map(work, parts)
        if self._pool is None:
            # Spawned, not forked: a fork would share threads' locks and random states.
            self._pool = ProcessPoolExecutor(self.processes, mp_context=get_context("spawn"))
        return self._pool.map(work, parts)


def ordered(*parts: Points) -> Points:
    """Join points in ascending order, which says nothing of the order they came in."""
    return np.sort(as_words(np.concatenate(parts)), axis=0).view(np.uint8).reshape(-1, 32)


def require_ordered(points: Points) -> None:
    """Raise OverlapError (out_of_order) unless ``points`` ascend: no point stands there twice."""
    words = as_words(points)
    if not np.all(words[:-1] < words[1:]):
        raise OverlapError("out_of_order", detail=f"{len(points):,} points")


def as_words(points: Points) -> NDArray[np.bytes_]:
    """Return each row as one value of 32 bytes, to sort and to compare."""
    return np.ascontiguousarray(points).view(f"S{group.POINT_BYTES}").reshape(-1)
