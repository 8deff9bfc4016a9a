"""What a site keeps of the run under way, so that it can be started anew in the middle of it.

One file: the manifest, hashes of the row keys, the run's keys, and every request that was answered
with a hash of what was computed. Nothing else is needed: rows are read again, and all that the site
has done to them follows from the requests. A request is on the disk before its answer leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import numpy as np

from fed_audience.errors import FedAudienceError, FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.record_log import RecordLog
from fed_audience.federation.messages.refusal import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fed_audience.federation.lasting.record_log import Record
    from fed_audience.federation.site.run import SiteVector

OPENING: Final = 1
OPENED: Final = 2
ROWS: Final = 3
KEYS: Final = 4
ANSWERED: Final = 5

_DIGEST_BYTES: Final = 16
_WHAT: Final = "checkpoint of the site"


@dataclass(slots=True)
class KeptRun:
    """A run as it was kept.

    ``opening`` and ``opened``: the first request and its reply. ``frozen``: uint64[n], identities
    of the rows. ``keys``: secrets, empty before there were any. ``answers``: requests in order,
    each with the digest of its answer; of a round that was asked again, the last counts.
    """

    run: str
    opening: bytes
    opened: bytes
    frozen: NDArray[np.uint64]
    keys: str = field(default="", repr=False)
    answers: list[tuple[bytes, bytes]] = field(default_factory=list)


class SiteCheckpoint:
    """The checkpoint in ``folder``, held by this process alone.

    Every method raises Refusal (checkpoint) where the disk refuses or the file is damaged: the
    site's log names the file. Raises ResourceError when another process holds the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "run.log"
        self._damage: FedAudienceError | None = None
        self._log: RecordLog | None = None
        try:
            self._log = RecordLog(self._path, _WHAT)
        except FederationError as error:
            self._damage = error

    @property
    def damaged(self) -> bool:
        """Whether the file is not the one that was written."""
        return self._damage is not None

    def kept(self) -> KeptRun | None:
        """Return the run that is kept; None when there is none, or it was not opened to the end."""
        if self._damage is not None:
            raise _refusal(self._damage)
        found: dict[int, bytes] = {}
        answers: list[tuple[bytes, bytes]] = []
        for record in self._records():
            if record.kind == ANSWERED:
                body, digest = record.content[_DIGEST_BYTES:], record.content[:_DIGEST_BYTES]
                answers.append((body, digest))
            else:
                found[record.kind] = record.content
        if not {OPENING, OPENED, ROWS} <= found.keys():
            return None
        return KeptRun(
            m.decode_request(found[OPENING]).slot.run,
            found[OPENING],
            found[OPENED],
            np.frombuffer(found[ROWS], dtype="<u8").astype(np.uint64),
            found.get(KEYS, b"").decode("ascii"),
            answers,
        )

    def begin(self, opening: bytes, opened: bytes, frozen: NDArray[np.uint64]) -> None:
        """Keep a run that begins, in place of the one before."""
        self.clear()
        self._append(OPENING, opening, durable=False)
        self._append(ROWS, frozen.astype("<u8").tobytes(), durable=False)
        self._append(OPENED, opened)

    def keep_keys(self, kept: str) -> None:
        """Keep the secrets of the run as they are."""
        self._append(KEYS, kept.encode("ascii"))

    def keep_answer(self, request: bytes, digest: bytes) -> None:
        """Keep that ``request`` is answered; call it before the answer leaves."""
        self._append(ANSWERED, digest + request)

    def clear(self) -> None:
        """Forget the run."""
        self.close()
        self._damage = None
        try:
            self._path.unlink(missing_ok=True)
            self._log = RecordLog(self._path, _WHAT)
        except OSError as error:
            raise Refusal("checkpoint", detail=f"{self._path}: {error.strerror}") from error
        except FedAudienceError as error:
            raise _refusal(error) from error

    def close(self) -> None:
        """Let the file go."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _records(self) -> list[Record]:
        try:
            if self._log is None:
                self._log = RecordLog(self._path, _WHAT)
        except FedAudienceError as error:
            raise _refusal(error) from error
        return self._log.records

    def _append(self, kind: int, content: bytes, *, durable: bool = True) -> None:
        try:
            if self._log is None:
                self._log = RecordLog(self._path, _WHAT)
            self._log.append(kind, content, durable=durable)
        except FedAudienceError as error:
            self._log = None
            raise _refusal(error) from error


def digest_of(answer: SiteVector | m.Reply, rows: bytes) -> bytes:
    """Hash by which the site knows an answer and its rows again, 16 bytes; it never leaves."""
    content = m.encode(answer) if isinstance(answer, m.Reply) else answer.values.tobytes()
    return blake2b(content, key=rows, digest_size=_DIGEST_BYTES).digest()


def _refusal(error: FedAudienceError) -> Refusal:
    return Refusal("checkpoint", detail=f"{error.what}; looked in: {error.looked}")
