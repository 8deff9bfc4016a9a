"""A site as the coordinator reaches it, when the audit log is to be counter-signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fed_audience.audit import notes
from fed_audience.audit.witness import WitnessAway
from fed_audience.errors import AuditError, FederationError
from fed_audience.federation.messages import members as mm

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fed_audience.audit.keys import VerifierKey
    from fed_audience.federation.contract.member_link import MemberLink

SECONDS: Final = 30.0
"""How long a site may take to counter-sign."""


class RemoteWitness:
    """Asks ``site`` over ``link`` to counter-sign the log of ``run``; it keeps what it signed.

    The site says itself from which checkpoint on the log must be shown to continue: of two
    programs that disagree about it, the coordinator is the one that may have been set back.
    """

    kept = None

    def __init__(self, link: MemberLink, run: str, site: str, key: VerifierKey) -> None:
        self.key = key
        self._link = link
        self._run = run
        self._site = site
        self._last = 0

    def countersign(
        self, checkpoint: notes.Checkpoint, line: str, prove: Callable[[int], Sequence[bytes]]
    ) -> str:
        """Return the site's signature line. Raises WitnessAway, AuditError when it refuses."""
        answer = self._ask(checkpoint, line, prove)
        if answer.line is None and not answer.refused:
            self._last = answer.last
            answer = self._ask(checkpoint, line, prove)
        if answer.line is None:
            raise AuditError(
                f"{self._site} does not counter-sign the log",
                value=answer.refused or f"it asks for a proof from {answer.last} entries on",
                fix="`fed-audience audit verify` at the coordinator and at that site, and compare",
            )
        try:
            notes.check_site(checkpoint, answer.line, self.key)
        except notes.NoteError as error:
            raise AuditError(
                f"what {self._site} sent is no signature of the log: {error}",
                fix="look at that site's agent: its key is not the one in the contract",
            ) from None
        self._last = checkpoint.size
        return answer.line

    def _ask(
        self, checkpoint: notes.Checkpoint, line: str, prove: Callable[[int], Sequence[bytes]]
    ) -> mm.CounterSigned:
        asked = mm.CounterSign(
            run=self._run,
            note=notes.note(checkpoint, [line]),
            first=self._last,
            proof=tuple(step.hex() for step in prove(self._last)),
        )
        try:
            body = self._link.ask(self._site, mm.CounterSign.kind, asked.encode(), SECONDS)
        except FederationError as error:
            raise WitnessAway(self._site, str(error)) from error
        return mm.decode(mm.CounterSigned, body)
