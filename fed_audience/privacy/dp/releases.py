"""Noisy vectors that were released: drawn once, kept before they are sent, and never drawn anew.

Noise protects a sum once. Whoever got the same sum twice with fresh noise could average it away, so
a round that is asked again, also of a site that was restarted, gets the vector that it got.
"""

from __future__ import annotations

import shutil
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import ResourceError
from fed_audience.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

RUNS_KEPT: Final = 8
"""Runs whose vectors a site can repeat: those under way, and some that may be resumed."""


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

    A file is flushed to the disk under another name and then renamed. Of the ``runs_kept`` runs
    used last vectors are kept; of each one before them an empty file `RUN.over`, for good: what
    cannot be repeated is refused, and never drawn anew under the old charge. Raises ResourceError
    for such a run, where the disk refuses, and where a file is damaged.
    """

    def __init__(self, folder: Path, *, runs_kept: int = RUNS_KEPT) -> None:
        super().__init__()
        self._folder = folder
        self._runs_kept = runs_kept

    def of(self, run: str, round_: str) -> tuple[str, Integers] | None:
        """Return the request's hash and the vector of a round that was answered; None otherwise."""
        self._refuse_over(run)
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
        self._refuse_over(run)
        path = self._path(run, round_)
        body = bytes.fromhex(request) + vector.astype("<i8").tobytes()
        try:
            if not path.parent.exists():
                self._make_room()
            write_whole(path, sha256(body).digest() + body, "a noisy vector", mode=0o600)
        except ResourceError as error:
            raise _unusable(path, error.what) from error
        except OSError as error:
            raise _unusable(self._folder, error.strerror) from error

    def _make_room(self) -> None:
        """Drop the vectors of the runs used longest ago; that they were is on the disk first."""
        if not self._folder.exists():
            return
        runs = [path for path in self._folder.iterdir() if path.is_dir()]
        runs.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in runs[self._runs_kept - 1 :]:
            write_whole(self._over(path.name), b"", "the end of a noisy run", mode=0o600)
            shutil.rmtree(path)

    def _refuse_over(self, run: str) -> None:
        # Asked of the disk each time: another process may have made room.
        if self._over(run).exists():
            raise ResourceError(
                "the run is over, and its noisy vectors are no longer kept; with fresh noise they "
                "would be a second look at the rows under one charge",
                limit=f"the {self._runs_kept} runs used last",
                looked=str(self._over(run)),
                fix="train under a new run id, at a new charge",
            )

    def _over(self, run: str) -> Path:
        return self._folder / f"{run}.over"

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
