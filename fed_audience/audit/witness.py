"""A site as a witness: it remembers the last checkpoint it signed, and signs none beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fed_audience.audit import notes
from fed_audience.audit.keys import WITNESS_KEY, VerifierKey
from fed_audience.audit.merkle import extends
from fed_audience.errors import AuditError, FederationError
from fed_audience.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from fed_audience.audit.keys import Signer


class WitnessAway(FederationError):  # noqa: N818 - a state of the federation, not a fault
    """``site`` cannot be asked to counter-sign now; it can later."""

    def __init__(self, site: str, why: str) -> None:
        super().__init__(f"{site} cannot counter-sign the log now: {why}")
        self.site = site


class CounterSigner(Protocol):
    """Whoever counter-signs a log: a site of this process, or one that is reached over a link."""

    @property
    def key(self) -> VerifierKey:
        """The site's public key."""
        ...

    @property
    def kept(self) -> Path | None:
        """File of the last checkpoint it signed, where that is at hand."""
        ...

    def countersign(
        self, checkpoint: notes.Checkpoint, line: str, prove: Callable[[int], Sequence[bytes]]
    ) -> str:
        """Return the site's signature line, as ``Witness.countersign``; may raise WitnessAway."""
        ...


class Witness:
    """One site's counter-signatures of one log.

    ``kept``: file of the last checkpoint it signed, written before the signature is handed out.
    ``coordinator``: the key whose log this is, as the site pinned it.
    """

    def __init__(
        self,
        signer: Signer,
        kept: Path,
        coordinator: VerifierKey,
        clock: Callable[[], datetime],
    ) -> None:
        self.key = VerifierKey(signer.name, WITNESS_KEY, signer.public_key)
        self.kept = kept
        self._signer = signer
        self._coordinator = coordinator
        self._clock = clock
        self._last: notes.Checkpoint | None = None

    def countersign(
        self, checkpoint: notes.Checkpoint, line: str, prove: Callable[[int], Sequence[bytes]]
    ) -> str:
        """Return the site's signature line for ``checkpoint``.

        ``line`` is the coordinator's; ``prove(size)`` shows that the checkpoint continues that of
        ``size`` entries, which is kept here. Raises AuditError for a checkpoint that the
        coordinator did not sign and for one that does not continue: the log was forked, cut or
        rewritten.
        """
        try:
            notes.check_coordinator(checkpoint, line, self._coordinator)
        except notes.NoteError as error:
            raise self._refusal(str(error), checkpoint) from None
        last = self.last
        if last is not None and last.origin != checkpoint.origin:
            raise self._refusal(f"it belongs to {last.origin}", checkpoint)
        if last is not None and not extends(
            last.size, last.root, checkpoint.size, checkpoint.root, prove(last.size)
        ):
            raise self._refusal(
                f"it does not continue the checkpoint of {last.size} entries signed before",
                checkpoint,
            )
        own = notes.signature_line(
            self.key, notes.cosignature(checkpoint, self._signer, int(self._clock().timestamp()))
        )
        self._keep(notes.note(checkpoint, [line, own]))
        self._last = checkpoint
        return own

    @property
    def last(self) -> notes.Checkpoint | None:
        """The last checkpoint signed here, None before the first; raises AuditError if altered."""
        if self._last is None and self.kept.exists():
            try:
                roster = notes.Roster(self._coordinator, (self.key,))
                self._last = notes.check_note(self.kept.read_text(encoding="utf-8"), roster)
            except (notes.NoteError, UnicodeDecodeError) as error:
                raise AuditError(
                    f"the checkpoint that {self.key.name} kept was changed: {error}",
                    looked=str(self.kept),
                    fix="put it back from a copy; without it this site cannot vouch for the log",
                ) from None
        return self._last

    def _keep(self, note: str) -> None:
        write_whole(self.kept, note.encode(), "the checkpoint of the audit log")

    def _refusal(self, why: str, checkpoint: notes.Checkpoint) -> AuditError:
        return AuditError(
            f"{self.key.name} refuses to counter-sign the log: {why}",
            value=f"a checkpoint of {checkpoint.size} entries of {checkpoint.origin}",
            looked=str(self.kept),
            fix="verify the log with this file as --kept, and find out who changed it",
        )
