"""A site's own eyes on the audit logs of its runs: what it signs, keeps and fetches."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Final

from fed_audience.audit import notes
from fed_audience.audit.keys import LOG_KEY, WITNESS_KEY, KeyFile, VerifierKey, write_pinned
from fed_audience.audit.verification import Verification, verify
from fed_audience.audit.witness import Witness
from fed_audience.errors import AuditError, ContractError, FedAudienceError
from fed_audience.federation.messages import members as mm
from fed_audience.files import write_whole
from fed_audience.jobs.audit_trail import COORDINATOR, PINNED
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.coordinator_audit import origin_of
from fed_audience.jobs.members import Members

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from fed_audience.federation.contract.terms import Contract
    from fed_audience.jobs.settings import FederationSettings

FOLDER: Final = "federation"
"""Below `audit.folder` of a site: what it kept of the logs that the coordinator writes."""
LARGEST_LOG: Final = 2**30


class SiteWitness:
    """Counter-signs for ``site`` the logs of runs that it is in, as the contract names their key.

    ``clock`` gives naive UTC. Kept are, below ``folder``, `RUN.checkpoint`, the last one that was
    signed, `RUN.jsonl`, a log that was fetched, and `trusted.keys`, the keys of all parties.
    """

    def __init__(
        self, settings: FederationSettings, site: str, clock: Callable[[], datetime]
    ) -> None:
        self.folder = settings.audit.folder / FOLDER
        self._settings = settings
        self._site = site
        self._clock = clock

    def answer(self, asked: mm.CounterSign, held: str | None) -> mm.CounterSigned:
        """Counter-sign, or say why not. ``held``: the run that the site is in."""
        kept = self.folder / f"{asked.run}.checkpoint"
        try:
            if held != asked.run and not kept.exists():
                raise ContractError("the site is in no such run", value=asked.run)
            contract = self._contract()
            head, line = _signed_by_coordinator(asked.note)
            if head.origin != origin_of(contract.federation, asked.run):
                raise AuditError("the checkpoint is of another log", value=head.origin)
            witness = self._witness(contract, kept)
            last = 0 if witness.last is None else witness.last.size
            if last != asked.first:
                return mm.CounterSigned(last=last)
            write_pinned(self.folder / PINNED, _keys(contract), agreed=True)
            proof = [bytes.fromhex(step) for step in asked.proof]
            return mm.CounterSigned(
                last=head.size, line=witness.countersign(head, line, lambda _: proof)
            )
        except FedAudienceError as error:
            return mm.CounterSigned(last=0, refused=str(error)[:2_000])

    def fetch(self, run: str, ask: Callable[[str, bytes], bytes]) -> Verification:
        """Fetch the log of ``run`` and verify it against what this site kept and signed.

        ``ask(kind, body)`` asks the coordinator. Raises AuditError for a log that is not sound,
        or is not the one that this site counter-signed; nothing is kept of such a one.
        """
        kept = self.folder / f"{run}.checkpoint"
        if not kept.exists():
            raise AuditError(
                "this site has counter-signed no log of that run",
                value=run,
                looked=str(self.folder),
                fix="`fed-audience federation status` lists the runs",
            )
        body = bytearray()
        while True:
            wanted = mm.LogWanted(run=run, offset=len(body))
            part = mm.decode(mm.LogPart, ask(mm.LogWanted.kind, wanted.encode()))
            data = _decoded(part)
            body += data
            if not data or len(body) >= min(part.size, LARGEST_LOG):
                break
        path = self.folder / f"{run}.jsonl"
        fetched = path.with_name(f"{run}.fetched")
        write_whole(fetched, bytes(body), "the log")
        try:
            found = verify(fetched, pinned=self.folder / PINNED, kept=[kept], finished=False)
        except AuditError:
            fetched.rename(path.with_suffix(".refused"))
            raise
        fetched.rename(path)
        return replace(found, path=path)

    def _contract(self) -> Contract:
        signed = Contracts(self._settings).signed_by(self._site)
        if signed is None or signed.contract.log_key is None:
            raise ContractError(
                "the contract that the site signed names no key of the coordinator's log",
                fix=f"`fed-audience federation sign {self._site}` there",
            )
        return signed.contract

    def _witness(self, contract: Contract, kept: Path) -> Witness:
        private = Members(self._settings).key_file(self._site)
        signer = KeyFile.open(private, f"{contract.federation}/{self._site}")
        return Witness(signer, kept, _coordinator(contract), self._now)

    def _now(self) -> datetime:
        return self._clock().replace(tzinfo=UTC)


def _signed_by_coordinator(note: str) -> tuple[notes.Checkpoint, str]:
    """Part a note into its checkpoint and the one line under it; a witness checks that line."""
    try:
        head, lines = notes.read_note(note)
    except notes.NoteError as error:
        raise AuditError(f"what is to be signed is no checkpoint: {error}") from None
    if len(lines) != 1:
        raise AuditError("what is to be signed is signed by others already", value=len(lines))
    return head, lines[0]


def _decoded(part: mm.LogPart) -> bytes:
    try:
        return b64decode(part.data, validate=True)
    except ValueError:
        raise AuditError(
            "a part of the log that the coordinator sent cannot be read",
            fix="run the same version of fed-audience at the coordinator and at every site",
        ) from None


def _coordinator(contract: Contract) -> VerifierKey:
    key = bytes.fromhex(contract.log_key or "")
    return VerifierKey(f"{contract.federation}/{COORDINATOR}", LOG_KEY, key)


def _keys(contract: Contract) -> Sequence[VerifierKey]:
    sites = (
        VerifierKey(f"{contract.federation}/{site}", WITNESS_KEY, bytes.fromhex(key))
        for site, key in sorted(contract.roster.items())
    )
    return (_coordinator(contract), *sites)
