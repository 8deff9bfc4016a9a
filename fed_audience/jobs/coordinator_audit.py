"""The audit logs of a coordinator's runs: kept at the coordinator, counter-signed by every site."""

from __future__ import annotations

import logging
from base64 import b64encode
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Final

from fed_audience import __version__
from fed_audience.audit import entries as e
from fed_audience.audit.keys import LOG_KEY, WITNESS_KEY, VerifierKey, write_pinned
from fed_audience.audit.log import AuditLog, signing_keys, signing_sites
from fed_audience.audit.witness import WitnessAway
from fed_audience.errors import AuditError
from fed_audience.federation.messages import members as mm
from fed_audience.federation.rounds.coordinator import SiteMissing
from fed_audience.jobs.audit_rounds import RoundRecorder
from fed_audience.jobs.audit_trail import COORDINATOR, PINNED, AuditTrail, packages_sha256
from fed_audience.jobs.audit_training import tell_model, tell_promise, tell_start
from fed_audience.jobs.remote_witness import RemoteWitness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from fed_audience.federation import Envelope, Manifest
    from fed_audience.federation.contract.member_link import MemberLink
    from fed_audience.federation.contract.terms import Contract
    from fed_audience.jobs.run_book import RunRecord
    from fed_audience.jobs.settings import FederationSettings

_LOG: Final = logging.getLogger(__name__)


class RunAudits:
    """One log a run, in the folder ``audit.folder``. ``clock`` gives naive UTC.

    A log is opened for each step that has something to tell, and every line of it is checked then.
    """

    def __init__(
        self, settings: FederationSettings, link: MemberLink, clock: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._link = link
        self._clock = clock
        self._trail = AuditTrail(settings)

    def path(self, run: str) -> Path:
        """Where the log of ``run`` stands."""
        return self._settings.audit.folder / f"{run}.jsonl"

    @contextmanager
    def training(self, manifest: Manifest, contract: Contract) -> Iterator[RunAccount]:
        """Begin the log of ``manifest``'s run, or go on with it; every site has signed it then.

        Raises SiteMissing when one is out of reach, AuditError when one refuses or the log is not
        sound.
        """
        run, begun = manifest.run_id, self.path(manifest.run_id).exists()
        with self._opened(run) if begun else self._begun(manifest, contract) as log:
            if not any(isinstance(entry, e.RunStarted) for entry in log.entries):
                tell_start(
                    log,
                    manifest,
                    configuration_sha256=contract.sha256,
                    rows=(),
                    record=self._settings.audit.record,
                )
                tell_promise(log, manifest)
            else:
                log.append(e.RunResumed, run=run)
            try:
                log.checkpoint()
            except WitnessAway as away:
                why = "every site counter-signs the log of its run"
                raise SiteMissing([away.site], away.site, why, str(away)) from away
            account = RunAccount(log, self._trail.digest_key(run), manifest)
            try:
                yield account
            finally:
                account.finish()

    @contextmanager
    def outcome(self, run: str) -> Iterator[RunAccount | None]:
        """Go on with the log of a run that is over; None for one that never began."""
        if not self.path(run).exists():
            yield None
            return
        with self._opened(run) as log:
            yield RunAccount(log, b"", None)

    def part(self, wanted: mm.LogWanted, site: str) -> mm.LogPart:
        """Return a part of a log for ``site``, which signs it. Raises AuditError for another."""
        path = self.path(wanted.run)
        if not path.exists() or site not in signing_sites(path):
            raise AuditError(
                "there is no log of such a run of that site",
                value=wanted.run,
                fix="`fed-audience federation status` lists the runs",
            )
        with path.open("rb") as file:
            file.seek(wanted.offset)
            data = file.read(mm.PART_BYTES)
        return mm.LogPart(size=path.stat().st_size, data=b64encode(data).decode())

    def _begun(self, manifest: Manifest, contract: Contract) -> AuditLog:
        self._trail.prepare(())
        signer = self._trail.signer(COORDINATOR)
        keys = [
            VerifierKey(f"{contract.federation}/{site}", WITNESS_KEY, bytes.fromhex(key))
            for site, key in sorted(contract.roster.items())
        ]
        own = VerifierKey(signer.name, LOG_KEY, signer.public_key)
        write_pinned(self._settings.audit.keys_folder / PINNED, [own, *keys], agreed=True)
        run = manifest.run_id
        return AuditLog.begin(
            self.path(run),
            signer,
            self._witnesses(run, [key for key in keys if site_of(key) in manifest.sites]),
            self._now,
            linked=True,
            origin=origin_of(contract.federation, run),
            federation=contract.federation,
            one_process=False,
            software=f"fed-audience {__version__}",
            packages_sha256=packages_sha256(),
        )

    def _opened(self, run: str) -> AuditLog:
        path = self.path(run)
        witnesses = self._witnesses(run, signing_keys(path))
        signer = self._trail.signer(COORDINATOR)
        return AuditLog(path, signer, witnesses, self._now, linked=True)

    def _witnesses(self, run: str, keys: Sequence[VerifierKey]) -> list[RemoteWitness]:
        return [RemoteWitness(self._link, run, site_of(key), key) for key in keys]

    def _now(self) -> datetime:
        return self._clock().replace(tzinfo=UTC)


class RunAccount:
    """What a run tells its log. What was told before an interruption is not told twice."""

    def __init__(self, log: AuditLog, digest_key: bytes, manifest: Manifest | None) -> None:
        self._log = log
        self._rounds = RoundRecorder(
            log, digest_key, manifest=manifest, checkpoint=self._checkpoint
        )

    def on_message(self, envelope: Envelope) -> None:
        """Take a message of the rounds, as it leaves or reaches the coordinator."""
        self._rounds(envelope)

    def finish(self) -> None:
        """Tell the round that was under way last, where the log can be written."""
        if not self._log.broken:
            self._rounds.finish()

    def trained(self, record: RunRecord, made: mm.Made) -> None:
        """Tell why training stopped, and the model that came out."""
        if self._has(e.ModelTrained):
            return
        self._log.append(
            e.Decision,
            decision="stop_training",
            reason=record.stopped,
            trees_grown=record.trees_grown,
            trees_kept=record.trees_kept,
        )
        if record.model_sha256 is None:
            raise AssertionError("a run that made a model knows its hash")
        tell_model(self._log, record.model, record.model_sha256, made.encoder)

    def registered(self, model: str, site: str, model_sha256: str) -> None:
        """Tell which model ``site`` holds: the shared one, or that with trees of its own."""
        told = [one for one in self._log.entries if isinstance(one, e.ModelRegistered)]
        if site not in {one.site for one in told}:
            self._log.append(e.ModelRegistered, model=model, model_sha256=model_sha256, site=site)

    def ended(self, record: RunRecord) -> bool:
        """Tell how the run ended; return whether every site has signed that."""
        if record.outcome is None:
            raise AssertionError("a run has ended with an outcome")
        status = record.outcome.status
        if not self._has(e.RunEnded):
            self._log.append(
                e.RunEnded,
                status="interrupted" if status == "cancelled" else status,
                error=record.error,
            )
        return self._checkpoint()

    def _checkpoint(self) -> bool:
        """Let the sites sign; False while one is away: it signs at the next checkpoint."""
        try:
            self._log.checkpoint()
        except WitnessAway as away:
            _LOG.info("the log is not counter-signed yet: %s", away)
            return False
        return True

    def _has(self, kind: type[e.Entry]) -> bool:
        return any(isinstance(entry, kind) for entry in self._log.entries)


def origin_of(federation: str, run: str) -> str:
    """Name the log of a run, as its checkpoints do."""
    return f"fed-audience/{federation}/{run}"


def site_of(key: VerifierKey) -> str:
    """Return the site whose key it is."""
    return key.name.rpartition("/")[2]
