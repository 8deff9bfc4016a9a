"""What a coordinator needs of the link to its sites, and all of it within one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from fed_audience.errors import FedAudienceError, FederationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class SiteEnd(Protocol):
    """The site's end of a link: it answers questions, and the rounds of the run it holds."""

    def answer(self, kind: str, body: bytes) -> bytes:
        """Answer a question of ``kind``. Raises FedAudienceError, whose text is told."""
        ...

    def handle(self, body: bytes) -> bytes:
        """Answer a round."""
        ...


class MemberLink(Protocol):
    """The coordinator's end: rounds as any transport carries them, and questions beside them."""

    def sites(self) -> list[str]:
        """Names of the sites that are connected, sorted."""
        ...

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        """Send a round; yield (site, reply) as replies come within ``timeout`` seconds."""
        ...

    def ask(self, site: str, kind: str, body: bytes, timeout: float) -> bytes:
        """Ask one site. Raises FederationError when it refuses, or does not answer in time."""
        ...


class LinkInProcess:
    """Sites of this process, as if they were linked; ``cut`` and ``connect`` lose and find one."""

    def __init__(self, ends: Mapping[str, SiteEnd]) -> None:
        self._ends = dict(ends)

    def sites(self) -> list[str]:
        """Names of the sites that are connected, sorted."""
        return sorted(self._ends)

    def connect(self, site: str, end: SiteEnd) -> None:
        """Let ``site`` be reached."""
        self._ends[site] = end

    def cut(self, site: str) -> None:
        """Let ``site`` be out of reach."""
        self._ends.pop(site, None)

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        """Let each connected site of ``to`` answer the round."""
        del timeout
        for site in to:
            if site in self._ends:
                yield site, self._ends[site].handle(body)

    def ask(self, site: str, kind: str, body: bytes, timeout: float) -> bytes:
        """Ask one site."""
        if site not in self._ends:
            raise FederationError(
                f"site {site} does not answer",
                value=f"waited {timeout:g} s",
                fix="start its agent, and look at its log",
            )
        try:
            return self._ends[site].answer(kind, body)
        except FedAudienceError as error:
            raise FederationError(f"site {site} refused: {error}") from error
