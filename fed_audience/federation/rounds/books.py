"""The books of a run: how many rounds it took, and how many bytes crossed each site's border."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LargestMessage:
    """The longest message that left a site. ``reveals`` says in plain words what it holds."""

    site: str
    type: str
    bytes: int
    reveals: str


@dataclass(slots=True)
class Books:
    """What was asked and answered so far; ``bytes_up`` left each site."""

    rounds: int = 0
    bytes_up: dict[str, int] = field(default_factory=dict)
    bytes_down: dict[str, int] = field(default_factory=dict)
    largest: LargestMessage | None = None

    def sent(self, site: str, size: int) -> None:
        """Book a request of ``size`` bytes to ``site``."""
        self.bytes_down[site] = self.bytes_down.get(site, 0) + size

    def received(self, site: str, size: int) -> None:
        """Book a reply of ``size`` bytes of ``site``."""
        self.bytes_up[site] = self.bytes_up.get(site, 0) + size

    def to_document(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return asdict(self)

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> Books:
        """Read ``to_document`` back."""
        largest = document["largest"]
        return cls(
            document["rounds"],
            document["bytes_up"],
            document["bytes_down"],
            None if largest is None else LargestMessage(**largest),
        )
