"""One round: the same request to every site of a cohort, and the sum of what comes back."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final, TypeVar

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.lasting.control import RunControl
from fed_audience.federation.lasting.journal import Journal
from fed_audience.federation.messages.refusal import refusal_error
from fed_audience.federation.rounds.books import Books, LargestMessage
from fed_audience.privacy.masks import RING_64, Ring
from fed_audience.privacy.opening import MaskedSum

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fed_audience.federation.lasting.journal import Known
    from fed_audience.federation.transport import RoundTransport

ReplyT = TypeVar("ReplyT", bound=m.Reply)

_AT_ONCE: Final = 16
"""Sites whose own requests are under way together: so many are in memory at a time."""


class SiteMissing(FederationError):  # noqa: N818 - a state of the federation, not a fault
    """A round cannot do without ``sites``, which did not answer; ``limit`` says why not."""

    def __init__(self, sites: Sequence[str], named: str, why: str, waited: str) -> None:
        super().__init__(
            f"no answer from {named}",
            value=waited,
            limit=why,
            fix="bring the site back, then resume the run where it has a journal, or start anew",
        )
        self.sites = tuple(sorted(sites))


class Coordinator:
    """Runs rounds over a transport and keeps the books of what left the sites.

    ``timeout``: seconds for one sending; a site that does not answer is sent the same bytes
    again, up to ``retries`` times. One that was silent to the end is then sent later rounds once,
    until it answers again.

    ``journal`` keeps each request before it is sent and what came of it; a round whose outcome it
    knows from before an interruption is not asked again. ``control`` stops the run between rounds.
    """

    def __init__(
        self,
        transport: RoundTransport,
        run: str,
        *,
        timeout: float = 600.0,
        retries: int = 2,
        journal: Journal | None = None,
        control: RunControl | None = None,
    ) -> None:
        self._transport = transport
        self._run = run
        self._timeout = timeout
        self._retries = retries
        self._silent: frozenset[str] = frozenset()
        self._restarted: set[str] = set()
        self._control = control or RunControl()
        self.journal = journal or Journal()
        self.books = self.journal.books or Books()

    def slot(self, tree: int, level: int) -> m.Slot:
        """Name a round of this run."""
        return m.Slot(run=self._run, tree=tree, level=level)

    def ask(self, request: m.Request, to: Sequence[str], kind: type[ReplyT]) -> dict[str, ReplyT]:
        """Send ``request`` to each site and return its reply, by site.

        Raises FederationError when a site refuses or answers another question, SiteMissing when
        one does not answer.
        """
        known = self.recall(request)
        if known.replies is not None:
            return {
                site: _fitting(site, _decoded(site, body), request.slot, kind)
                for site, body in known.replies.items()
            }
        replies, silent = self.gather(request, to, kind)
        if silent:
            raise self.missing(silent)
        self.journal.replied(replies, self.books)
        return replies

    def recall(self, request: m.Request) -> Known:
        """Let the journal keep ``request``; return what it knows of its round.

        Raises RunPaused or RunCancelled when nothing more is to be asked.
        """
        known = self.journal.announce(request, self.books)
        if known.sums is None and known.replies is None:
            self._control.check()
        return known

    def gather(
        self, request: m.Request, to: Sequence[str], kind: type[ReplyT]
    ) -> tuple[dict[str, ReplyT], tuple[str, ...]]:
        """Send ``request`` to each site; return the replies by site, and who did not answer.

        Raises FederationError when a site refuses, or answers another question.
        """
        replies = dict(self._replies(request, to, kind))
        return replies, tuple(sorted(set(to) - replies.keys()))

    def gather_each(
        self, requests: Iterable[tuple[str, m.Request]], kind: type[ReplyT]
    ) -> dict[str, ReplyT]:
        """Send each site a request of its own, 16 sites at a time; return the replies by site.

        Replies must be short: they wait for each other. Sites that did not answer are left out.
        Raises FederationError when a site refuses, or answers another question.
        """
        found: dict[str, ReplyT] = {}
        unsent = ((site, request.slot, m.encode(request)) for site, request in requests)
        while some := list(islice(unsent, _AT_ONCE)):
            slots = {site: slot for site, slot, _ in some}
            for site, body in self._call([(own, (to,)) for to, _, own in some]):
                reply = self._read(site, body, slots[site], kind)
                if reply is not None:
                    found[site] = reply
        return found

    def forget(self, sites: Sequence[str]) -> tuple[str, ...]:
        """Let ``sites`` forget the run; return those that did not answer."""
        slot = self.slot(m.PREPARATION, 0)
        _, silent = self.gather(m.ForgetRun(slot=slot), sites, m.RunForgotten)
        return silent

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
        known = self.recall(request)
        if known.sums is not None:
            return known.sums
        total, silent = self.add(request, to, kind, size, ring)
        if silent:
            raise self.missing(silent)
        sums = total.total()
        self.journal.summed(sums, self.books)
        return sums

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
        for site, body in self._call([(m.encode(request), to)]):
            reply = self._read(site, body, request.slot, kind)
            if reply is not None:
                yield site, reply

    def _call(self, requests: Sequence[tuple[bytes, Sequence[str]]]) -> Iterator[tuple[str, bytes]]:
        """Send each body to its sites until each answered once or has been waited for long enough.

        What is sent to different sites travels together: it is one round.
        """
        self.books.rounds += 1
        unanswered = {site for _, to in requests for site in to}
        waited_for = frozenset(unanswered)
        for _ in range(self._retries + 1):
            for site, reply in self._sent(requests, waited_for):
                if site in unanswered:
                    unanswered.discard(site)
                    self._silent -= {site}
                    yield site, reply
            waited_for = frozenset(unanswered) - self._silent
            if not waited_for:
                break
        self._silent |= unanswered

    def _sent(
        self, requests: Sequence[tuple[bytes, Sequence[str]]], waited_for: Collection[str]
    ) -> Iterator[tuple[str, bytes]]:
        """Send each body to those of its sites that are ``waited_for``; yield the replies."""
        under_way = []
        for body, sites in requests:
            if to := [site for site in sites if site in waited_for]:
                for site in to:
                    self.books.sent(site, len(body))
                under_way.append(self._transport.call(body, to, self._timeout))
        return chain.from_iterable(under_way)

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
        self.books.received(site, len(body))
        reply = _decoded(site, body)
        largest = self.books.largest
        if largest is None or len(body) > largest.bytes:
            name = type(reply).__name__
            self.books.largest = LargestMessage(site, name, len(body), type(reply).reveals)
        if isinstance(reply, m.Refused) and reply.reason == "no_run":
            self._restarted.add(site)
            return None
        if isinstance(reply, m.Refused):
            raise refusal_error(site, reply.reason, reply.column)
        return _fitting(site, reply, slot, kind)


def _decoded(site: str, body: bytes) -> m.Reply:
    try:
        return m.decode_reply(body)
    except FederationError as error:
        raise FederationError(
            f"site {site} sent what is not a reply: {error.what}", fix=error.fix
        ) from error


def _fitting(site: str, reply: m.Reply, slot: m.Slot, kind: type[ReplyT]) -> ReplyT:
    if not isinstance(reply, kind) or reply.slot != slot:
        raise FederationError(
            f"site {site} answered another question",
            value=f"{type(reply).__name__} for round {reply.slot.position}",
            limit=f"{kind.__name__} for round {slot.position}",
            fix="start the run again",
        )
    return reply
