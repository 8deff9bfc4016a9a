"""Noisy vectors that were released: drawn once, kept before they are sent, and never drawn anew.

Noise protects a sum once. Whoever got the same sum twice with fresh noise could average it away, so
a round that is asked again, also of a site that was restarted, gets the vector that it got.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np

from fed_audience.errors import ResourceError
from fed_audience.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]


class Releases:
    """What one site has released, for as long as its process lives.

    A release is known by its run (the manifest's hash), its round, and the hash of the request.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[str, Integers]] = {}

    def of(self, run: str, round_: str) -> tuple[str, Integers] | None:
        """Return the request's hash and the vector of a round that was answered; None otherwise."""
        return self._kept.get((run, round_))

    def keep(self, run: str, round_: str, request: str, vector: Integers) -> None:
        """Keep ``vector``, int64[n]; call it before anything is sent."""
        self._kept[run, round_] = (request, vector)


class StoredReleases(Releases):
    """Releases in a folder, one file each, that survive the process.

    A file is flushed to the disk under another name and then renamed. Raises ResourceError where
    the disk refuses, or a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def of(self, run: str, round_: str) -> tuple[str, Integers] | None:
        """Return the request's hash and the vector of a round that was answered; None otherwise."""
        known = super().of(run, round_)
        if known is not None:
            return known
        path = self._path(run, round_)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(path, error.strerror) from error
        check, body = content[:32], content[32:]
        if sha256(body).digest() != check:
            raise _unusable(path, "it is damaged")
        vector = np.frombuffer(body[32:], dtype="<i8").astype(np.int64)
        return body[:32].hex(), vector

    def keep(self, run: str, round_: str, request: str, vector: Integers) -> None:
        """Write ``vector``, int64[n], and wait until the disk holds it."""
        path = self._path(run, round_)
        body = bytes.fromhex(request) + vector.astype("<i8").tobytes()
        try:
            write_whole(path, sha256(body).digest() + body, "a noisy vector", mode=0o600)
        except ResourceError as error:
            raise _unusable(path, error.what) from error
        super().keep(run, round_, request, vector)

    def _path(self, run: str, round_: str) -> Path:
        return self._folder / run / f"{sha256(round_.encode()).hexdigest()[:32]}.release"


def _unusable(path: Path, why: str | None) -> ResourceError:
    return ResourceError(
        "a noisy vector cannot be kept or read again, so nothing is sent",
        value=why,
        looked=str(path),
        fix="make the site's folder of releases writable and keep its files; a new run id starts "
        "anew, at a new charge",
    )
