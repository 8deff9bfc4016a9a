"""One round: the same request to every site of a cohort, and the sum of what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.refusal import refusal_error
from fed_audience.privacy.masks import RING_64, Ring
from fed_audience.privacy.opening import MaskedSum

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fed_audience.federation.transport import RoundTransport

ReplyT = TypeVar("ReplyT", bound=m.Reply)


@dataclass(frozen=True, slots=True)
class LargestMessage:
    """The longest message that left a site. ``reveals`` says in plain words what it holds."""

    site: str
    type: str
    bytes: int
    reveals: str


class SiteMissing(FederationError):  # noqa: N818 - a state of the federation, not a fault
    """A round cannot do without ``sites``, which did not answer; ``limit`` says why not."""

    def __init__(self, sites: Sequence[str], named: str, why: str, waited: str) -> None:
        super().__init__(
            f"no answer from {named}",
            value=waited,
            limit=why,
            fix="bring the site back and start the run again",
        )
        self.sites = tuple(sorted(sites))


class Coordinator:
    """Runs rounds over a transport and keeps the books of what left the sites.

    ``timeout``: seconds for one sending; a site that does not answer is sent the same bytes
    again, up to ``retries`` times. One that was silent to the end is then sent later rounds once,
    until it answers again.
    """

    def __init__(
        self, transport: RoundTransport, run: str, *, timeout: float = 600.0, retries: int = 2
    ) -> None:
        self._transport = transport
        self._run = run
        self._timeout = timeout
        self._retries = retries
        self._silent: frozenset[str] = frozenset()
        self._restarted: set[str] = set()
        self.rounds = 0
        self.bytes_up: dict[str, int] = {}
        self.bytes_down: dict[str, int] = {}
        self.largest: LargestMessage | None = None

    def slot(self, tree: int, level: int) -> m.Slot:
        """Name a round of this run."""
        return m.Slot(run=self._run, tree=tree, level=level)

    def ask(self, request: m.Request, to: Sequence[str], kind: type[ReplyT]) -> dict[str, ReplyT]:
        """Send ``request`` to each site and return its reply, by site.

        Raises FederationError when a site refuses or answers another question, SiteMissing when
        one does not answer.
        """
        replies, silent = self.gather(request, to, kind)
        if silent:
            raise self.missing(silent)
        return replies

    def gather(
        self, request: m.Request, to: Sequence[str], kind: type[ReplyT]
    ) -> tuple[dict[str, ReplyT], tuple[str, ...]]:
        """Send ``request`` to each site; return the replies by site, and who did not answer.

        Raises FederationError when a site refuses, or answers another question.
        """
        replies = dict(self._replies(request, to, kind))
        return replies, tuple(sorted(set(to) - replies.keys()))

    def sum(
        self,
        request: m.Request,
        to: Sequence[str],
        kind: type[m.VectorReply],
        size: int,
        ring: Ring = RING_64,
    ) -> NDArray[np.int64]:
        """Send ``request`` to each site and return the sum of the vectors, int64[size].

        Masks cancel and sums mean something once every site is in: raises SiteMissing otherwise.
        ``ring``: that of the elements, which the sum must fit.
        """
        total, silent = self.add(request, to, kind, size, ring)
        if silent:
            raise self.missing(silent)
        return total.total()

    def add(
        self,
        request: m.Request,
        to: Sequence[str],
        kind: type[m.VectorReply],
        size: int,
        ring: Ring = RING_64,
    ) -> tuple[MaskedSum, tuple[str, ...]]:
        """Send ``request`` to each site; add up the vectors and return who did not answer.

        A reply is added and let go as it comes, while other sites still compute.
        """
        total = MaskedSum(size, ring)
        lost = set(to)
        for site, reply in self._replies(request, to, kind):
            lost.discard(site)
            try:
                total.add(reply.elements(ring))
            except FederationError as error:
                raise FederationError(
                    f"site {site} answered with a vector of another length",
                    value=f"{reply.words.nbytes} bytes",
                    limit=f"{size * ring.bytes} bytes",
                    fix="run the same version of fed-audience at the coordinator and every site",
                ) from error
        return total, tuple(sorted(lost))

    def _replies(
        self, request: m.Request, to: Sequence[str], kind: type[ReplyT]
    ) -> Iterator[tuple[str, ReplyT]]:
        """Yield what each site replies, but for those that were started anew or are silent."""
        for site, body in self._call(m.encode(request), to):
            reply = self._read(site, body, request.slot, kind)
            if reply is not None:
                yield site, reply

    def _call(self, body: bytes, to: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Send ``body`` until every site answered once or has been waited for long enough."""
        self.rounds += 1
        unanswered, waited_for = set(to), list(to)
        for _ in range(self._retries + 1):
            for site in waited_for:
                self.bytes_down[site] = self.bytes_down.get(site, 0) + len(body)
            for site, reply in self._transport.call(body, waited_for, self._timeout):
                if site in unanswered:
                    unanswered.discard(site)
                    self._silent -= {site}
                    yield site, reply
            waited_for = sorted(unanswered - self._silent)
            if not waited_for:
                break
        self._silent |= unanswered

    def missing(self, silent: Sequence[str], why: str = "a round takes every site") -> SiteMissing:
        """Return the error for a round that cannot do without ``silent``."""
        waited = f"{self._retries + 1} sendings of {self._timeout:g} s each"
        return SiteMissing(silent, self.named(silent), why, waited)

    def named(self, silent: Sequence[str]) -> str:
        """Name sites that do not answer, and which of them were started anew."""
        return ", ".join(
            f"{site} (started anew)" if site in self._restarted else site for site in sorted(silent)
        )

    def _read(self, site: str, body: bytes, slot: m.Slot, kind: type[ReplyT]) -> ReplyT | None:
        """Read the answer of ``site``; None from a site that was started anew and lost the run."""
        self.bytes_up[site] = self.bytes_up.get(site, 0) + len(body)
        try:
            reply: Any = m.decode_reply(body)
        except FederationError as error:
            raise FederationError(
                f"site {site} sent what is not a reply: {error.what}", fix=error.fix
            ) from error
        if self.largest is None or len(body) > self.largest.bytes:
            name = type(reply).__name__
            self.largest = LargestMessage(site, name, len(body), type(reply).reveals)
        if isinstance(reply, m.Refused) and reply.reason == "no_run":
            self._restarted.add(site)
            return None
        if isinstance(reply, m.Refused):
            raise refusal_error(site, reply.reason, reply.column)
        if not isinstance(reply, kind) or reply.slot != slot:
            raise FederationError(
                f"site {site} answered another question",
                value=f"{type(reply).__name__} for round {reply.slot.position}",
                limit=f"{kind.__name__} for round {slot.position}",
                fix="start the run again",
            )
        return reply
