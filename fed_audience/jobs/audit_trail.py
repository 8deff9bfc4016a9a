"""The audit logs of a federation whose coordinator and sites run in this process."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from functools import cache
from hashlib import sha256
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Final, Self

from fed_audience import __version__
from fed_audience.audit.fields import canonical
from fed_audience.audit.keys import LOG_KEY, WITNESS_KEY, KeyFile, VerifierKey, write_pinned
from fed_audience.audit.log import AuditLog, signing_sites, utc_now
from fed_audience.audit.witness import Witness
from fed_audience.errors import ResourceError
from fed_audience.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    from fed_audience.jobs.settings import FederationSettings

COORDINATOR: Final = "coordinator"
PINNED: Final = "trusted.keys"


class AuditTrail:
    """Opens a federation's logs when something is to be told, and holds them until it is left.

    Keys are made where there are none: one for the coordinator and one a site, each in a file
    that only its owner reads. Use as a context: leaving it counter-signs all that was told.
    """

    def __init__(
        self, settings: FederationSettings, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._settings = settings
        self._folder, self._keys = settings.audit.folder, settings.audit.keys_folder
        self._clock = clock
        self._stack = ExitStack()
        self._open: dict[str, AuditLog] = {}

    def begin(self, run: str, sites: Sequence[str]) -> AuditLog:
        """Begin the log of ``run``, signed by ``sites``. Raises AuditError if there is one."""
        self.prepare(sites)
        log = AuditLog.begin(
            self._path(run),
            self.signer(COORDINATOR),
            self._witnesses(run, sites),
            self._clock,
            origin=f"fed-audience/{self._settings.name}/{run}",
            federation=self._settings.name,
            one_process=True,
            software=f"fed-audience {__version__}",
            packages_sha256=packages_sha256(),
        )
        return self._held(run, log)

    def of_run(self, run: str, sites: Sequence[str]) -> AuditLog:
        """Return the log of ``run``, continued; begun by ``sites`` where nobody kept one."""
        if run in self._open:
            return self._open[run]
        if not self._path(run).exists():
            return self.begin(run, sites)
        signing = signing_sites(self._path(run))
        self.prepare(signing)
        log = AuditLog(
            self._path(run),
            self.signer(COORDINATOR),
            self._witnesses(run, signing),
            self._clock,
        )
        return self._held(run, log)

    def digest_key(self, run: str) -> bytes:
        """Return the key of a run's message digests, 32 bytes, from a file beside the keys."""
        return digest_key(self._keys, run)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.clear()
        self._stack.__exit__(kind, error, trace)

    def _held(self, run: str, log: AuditLog) -> AuditLog:
        self._open[run] = self._stack.enter_context(log)
        return log

    def _path(self, run: str) -> Path:
        return self._folder / f"{run}.jsonl"

    def prepare(self, sites: Sequence[str]) -> None:
        """Make folders and keys, and pin the public ones."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._keys / "sites").mkdir(mode=0o700, parents=True, exist_ok=True)
            coordinator = self.signer(COORDINATOR)
            keys = [VerifierKey(coordinator.name, LOG_KEY, coordinator.public_key)]
            for site in sites:
                signer = self.signer(site)
                keys.append(VerifierKey(signer.name, WITNESS_KEY, signer.public_key))
            write_pinned(self._keys / PINNED, keys)
        except OSError as error:
            raise ResourceError(
                "the audit log's folders cannot be written, so nothing goes on without it",
                value=error.strerror,
                looked=str(error.filename or self._folder),
                fix="correct audit.folder and audit.keys in federation.yml, or their permissions",
            ) from error

    def signer(self, party: str) -> KeyFile:
        """Return the private key of ``party``, made where there is none."""
        below = self._keys if party == COORDINATOR else self._keys / "sites"
        return KeyFile.open(below / f"{party}.pem", f"{self._settings.name}/{party}")

    def _witnesses(self, run: str, sites: Sequence[str]) -> list[Witness]:
        coordinator = self.signer(COORDINATOR)
        key = VerifierKey(coordinator.name, LOG_KEY, coordinator.public_key)
        found = []
        for site in sites:
            kept = self._folder / "kept" / site
            kept.mkdir(parents=True, exist_ok=True)
            found.append(Witness(self.signer(site), kept / f"{run}.checkpoint", key, self._clock))
        return found


def digest_key(keys: Path, run: str) -> bytes:
    """Return the key of a run's message digests, 32 bytes, made in ``keys`` where there is none."""
    path = keys / "digests" / f"{run}.key"
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, secrets.token_bytes(32), "the key of the digests", mode=0o600)
    return path.read_bytes()


def log_key(settings: FederationSettings) -> bytes:
    """Return the public key of the coordinator's audit logs, made where there is none."""
    trail = AuditTrail(settings)
    trail.prepare(())
    return trail.signer(COORDINATOR).public_key


@cache
def packages_sha256() -> str:
    """Return a hash of the installed packages and their versions."""
    names = {f"{one.name.lower()}=={one.version}" for one in distributions()}
    return sha256(canonical(sorted(names))).hexdigest()
