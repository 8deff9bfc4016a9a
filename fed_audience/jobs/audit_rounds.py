"""Turns the messages of a training into entries of its audit log, one a round."""

from __future__ import annotations

import hmac
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from fed_audience.audit import entries as e
from fed_audience.audit.fields import ReceivedMessage, canonical
from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.manifest import Manifest
from fed_audience.federation.messages.packing import Packing, counts_ring
from fed_audience.privacy.masks import RING_64, Ring, RingVector
from fed_audience.privacy.rounds import Round, tolerates_dropouts

if TYPE_CHECKING:
    from collections.abc import Callable

    from fed_audience.audit.log import AuditLog
    from fed_audience.federation import Envelope

UNREADABLE: Final = "Unreadable"
CHECKPOINT_ENTRIES: Final = 64
"""Entries after which the sites counter-sign, once a tree is over: they keep a file each time."""


class RoundRecorder:
    """Hand it to the transport as ``on_message``; ``finish`` after the last message.

    A round is told as soon as every site that was asked has answered, so that who interrupts the
    program after it cannot lose it; one that sites are missing from, when the next begins.
    Only digests are told, under a key that readers of the log lack: the plain hash of a few small
    counts could be inverted by trying. Whoever holds ``digest_key`` and a message can show that
    it is the one in the log. A body is hashed as it passes and let go when the next one comes: the
    shares of 500 sites are half a gigabyte. Between trees ``checkpoint`` is called, the log's own
    without it.
    ``manifest``: of a training that goes on, whose opening this recorder does not see.
    """

    def __init__(
        self,
        log: AuditLog,
        digest_key: bytes,
        *,
        manifest: Manifest | None = None,
        checkpoint: Callable[[], object] | None = None,
    ) -> None:
        self._log = log
        self._key = digest_key
        self._checkpoint = checkpoint or partial(log.checkpoint, durable=False)
        self._request: m.Request | None = None
        self._body: bytes | None = None
        self._bodies_seen: set[bytes] = set()
        self._sent = self._keyed()
        self._asked: list[str] = []
        self._received: dict[str, ReceivedMessage] = {}
        self._counts_ring = self._ring = RING_64
        self._manifest: Manifest | None = None
        if manifest is not None:
            self._know(manifest)
        self._sum: RingVector | None = None
        self._summable = True
        self._tree: tuple[str, int] | None = None

    def __call__(self, envelope: Envelope) -> None:
        """Take one message, as it crossed a site's border."""
        if envelope.direction == "to_site":
            # The sites of a broadcast share one object: it is hashed once, not once a site.
            if envelope.body is not self._body:
                self._take_request(envelope.body)
            if envelope.site not in self._asked:
                self._asked.append(envelope.site)
        else:
            self._take_reply(envelope)
            if self._received.keys() == set(self._asked) and not self._several:
                self.finish()

    def finish(self) -> None:
        """Write the entry of the round that the last messages belonged to, if there is one."""
        request = self._request
        if request is None:
            return
        slot = request.slot
        if self._tree != (slot.run, slot.tree) and self._log.uncovered >= CHECKPOINT_ENTRIES:
            self._checkpoint()
        self._tree = (slot.run, slot.tree)
        place = {
            "run": slot.run,
            "tree": slot.tree,
            "level": slot.level,
            "attempt": slot.attempt,
        }
        self._log.append(
            e.RoundSummed,
            **place,
            kind=type(request).__name__,
            cohort_sha256=sha256(canonical(sorted(self._asked))).hexdigest(),
            sent=self._sent.hexdigest(),
            received=[self._received[site] for site in sorted(self._received)],
            aggregate=self._aggregate(),
        )
        for site in sorted(set(self._asked) - self._received.keys()):
            self._log.append(e.SiteDropped, **place, site=site)
        self._request, self._body, self._bodies_seen, self._sent = None, None, set(), self._keyed()
        self._asked, self._received = [], {}
        self._sum, self._summable = None, True

    def _take_request(self, body: bytes) -> None:
        """Hash ``body`` into what was sent, unless it is sent again."""
        seen = sha256(body).digest()
        if seen not in self._bodies_seen:
            self._begin(m.decode_request(body))
            self._bodies_seen.add(seen)
            self._sent.update(body)
        self._body = body

    def _begin(self, request: m.Request) -> None:
        """Begin the entry of another round; shares go to each site under a request of its own."""
        last = self._request
        shares = isinstance(request, m.HoldShares) and isinstance(last, m.HoldShares)
        if shares and last is not None and request.slot == last.slot:
            return
        self.finish()
        self._request = request
        self._ring = self._ring_of(request)

    def _take_reply(self, envelope: Envelope) -> None:
        kind, elements = UNREADABLE, None
        try:
            reply = m.decode_reply(envelope.body)
            kind = type(reply).__name__
            if isinstance(reply, m.VectorReply):
                elements = reply.elements(self._ring)
        except FederationError:
            pass  # the coordinator refuses it by name; what came is told all the same
        self._received[envelope.site] = ReceivedMessage(
            site=envelope.site, kind=kind, digest=self._digest(envelope.body)
        )
        self._add(elements)

    def _ring_of(self, request: m.Request) -> Ring:
        """Return the ring of the replies to ``request``, by the rules of the protocol."""
        if isinstance(request, m.OpenRun):
            self._know(Manifest.from_json(request.manifest))
        if isinstance(request, m.CountValues):
            return self._counts_ring
        packing = getattr(request, "packing", None)
        return packing.ring if isinstance(packing, Packing) else RING_64

    @property
    def _several(self) -> bool:
        """Whether more requests may belong to the round: shares go to one site after another."""
        return isinstance(self._request, m.HoldShares)

    def _know(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._counts_ring = counts_ring(manifest.parameters.row_cap)

    def _add(self, elements: RingVector | None) -> None:
        """Add a vector to the round's sum, which wraps as the ring does; masks go out of it."""
        if elements is None or (self._sum is not None and self._sum.shape != elements.shape):
            self._summable = False
        elif self._sum is None:
            self._sum = elements.copy()
        else:
            self._sum += elements

    def _aggregate(self) -> str | None:
        """Digest of the sum; None where it is not whole, or opens by masks that are revealed."""
        whole = (
            not self._opened_later()
            and self._summable
            and self._received.keys() == set(self._asked)
        )
        return self._digest(self._sum.tobytes()) if whole and self._sum is not None else None

    def _opened_later(self) -> bool:
        if self._request is None or self._manifest is None:
            return False
        slot, manifest = self._request.slot, self._manifest
        asked = Round(slot.run, slot.tree, slot.level)
        loose = manifest.secure and not manifest.fixed_cohort
        return loose and tolerates_dropouts(len(self._asked), asked)

    def _keyed(self) -> hmac.HMAC:
        return hmac.new(self._key, digestmod="sha256")

    def _digest(self, body: bytes) -> str:
        return hmac.digest(self._key, body, "sha256").hex()
