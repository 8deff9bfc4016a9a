"""The one thing a runtime must do: carry a request to sites and bring their replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message as it crossed a site's border."""

    site: str
    direction: Literal["to_site", "from_site"]
    body: bytes


class RoundTransport(Protocol):
    """Carries bytes between the coordinator and the sites; knows nothing of their meaning."""

    def sites(self) -> list[str]:
        """Names of the sites that can be reached."""
        ...

    def call(self, body: bytes, to: Sequence[str], timeout: float) -> Iterator[tuple[str, bytes]]:
        """Send ``body`` to each site of ``to``; yield sites and their replies as they come.

        A site without an answer after ``timeout`` seconds is left out. The same body may be sent
        to it again. Where messages take time to travel, they are under way when this returns: so
        calls that are made one after the other before any is waited for travel together.
        """
        ...


def begun(replies: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Let a generator of replies come to its first ``yield``, whose value is none.

    From there on its ``finally`` runs also when nobody reads a reply.
    """
    next(replies)
    return replies
