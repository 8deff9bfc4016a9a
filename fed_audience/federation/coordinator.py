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


class Coordinator:
    """Runs rounds over a transport and keeps the books of what left the sites.

    ``timeout``: seconds for one sending; a site that does not answer is sent the same bytes
    again, up to ``retries`` times. Below that no round does without a site: a sum over fewer of
    them would give the missing one away.
    """

    def __init__(
        self, transport: RoundTransport, run: str, *, timeout: float = 600.0, retries: int = 2
    ) -> None:
        self._transport = transport
        self._run = run
        self._timeout = timeout
        self._retries = retries
        self.rounds = 0
        self.bytes_up: dict[str, int] = {}
        self.bytes_down: dict[str, int] = {}
        self.largest: LargestMessage | None = None

    def slot(self, tree: int, level: int) -> m.Slot:
        """Name a round of this run."""
        return m.Slot(run=self._run, tree=tree, level=level)

    def ask(self, request: m.Request, to: Sequence[str], kind: type[ReplyT]) -> dict[str, ReplyT]:
        """Send ``request`` to each site and return its reply, by site.

        Raises FederationError when a site refuses, does not answer, or answers another question.
        """
        return dict(self._replies(request, to, kind))

    def sum(
        self,
        request: m.Request,
        to: Sequence[str],
        kind: type[m.VectorReply],
        size: int,
        ring: Ring = RING_64,
    ) -> NDArray[np.int64]:
        """Send ``request`` to each site and return the sum of the vectors, int64[size].

        Masks cancel and sums mean something once every site is in. A reply is added and let go
        before the next is read. ``ring``: that of the elements, which the sum must fit.
        """
        total = MaskedSum(size, ring)
        for site, reply in self._replies(request, to, kind):
            try:
                total.add(reply.elements(ring))
            except FederationError as error:
                raise FederationError(
                    f"site {site} answered with a vector of another length",
                    value=f"{reply.words.nbytes} bytes",
                    limit=f"{size * ring.bytes} bytes",
                    fix="run the same version of fed-audience at the coordinator and every site",
                ) from error
        return total.total()

    def _replies(
        self, request: m.Request, to: Sequence[str], kind: type[ReplyT]
    ) -> Iterator[tuple[str, ReplyT]]:
        self.rounds += 1
        bodies = self._call(m.encode(request), to)
        for site in to:
            yield site, self._read(site, bodies.pop(site), request.slot, kind)

    def _call(self, body: bytes, to: Sequence[str]) -> dict[str, bytes]:
        replies: dict[str, bytes] = {}
        missing = list(to)
        for _ in range(self._retries + 1):
            answered, lost = self._transport.call(body, missing, self._timeout)
            for site in missing:
                self.bytes_down[site] = self.bytes_down.get(site, 0) + len(body)
            replies |= answered
            missing = sorted(set(missing) - answered.keys() | lost)
            if not missing:
                return replies
        raise FederationError(
            f"no answer from {', '.join(missing)}",
            value=f"{self._retries + 1} sendings of {self._timeout:g} s each",
            fix="bring the site back and start the run again",
        )

    def _read(self, site: str, body: bytes, slot: m.Slot, kind: type[ReplyT]) -> ReplyT:
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
