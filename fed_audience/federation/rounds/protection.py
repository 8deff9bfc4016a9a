"""How a run hid what its sites sent: said in every result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from fed_audience.federation import messages

if TYPE_CHECKING:
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.rounds.books import LargestMessage
    from fed_audience.privacy.run_keys import Override

_WORDS: dict[Override, str] = {
    "one_site": "one site holds all labels: the coordinator sees that site's own sums",
    "small_change": "sums over different sites, in this run or an earlier one, show one or two",
    "two_sites": "of two sites each knows its own numbers, and so the other's",
}


@dataclass(frozen=True, slots=True)
class Protection:
    """What hid a site's own numbers from the coordinator.

    ``secure``: bins and trees were summed under masks, over ``sites`` and ``training_sites``
    sites. ``overrides``: rules of the secure sum that the sites set aside.
    """

    secure: bool
    sites: int
    training_sites: int
    overrides: tuple[Override, ...]

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Say how ``manifest``'s run is protected."""
        return cls(
            secure=manifest.secure and len(manifest.sites) > 1,
            sites=len(manifest.sites),
            training_sites=len(manifest.training_sites),
            overrides=manifest.overrides if manifest.secure else (),
        )

    def sentences(self) -> tuple[str, ...]:
        """Say in words what the coordinator sees."""
        if self.sites == 1:
            return ("plain sums: there is one site, which hides nothing from itself",)
        if not self.secure:
            return ("plain sums: the coordinator sees each site's own numbers",)
        first = f"sums over {self.sites} sites under masks; trees over {self.training_sites}"
        return (first, *self.weaknesses())

    def as_read(self, message: LargestMessage) -> LargestMessage:
        """Say what the coordinator reads in a message: of a masked vector nothing but its sum."""
        masked = self.secure and (
            self.training_sites > 1 or message.type == messages.ValueCounts.__name__
        )
        vectors = {k.__name__ for k in messages.REPLIES if issubclass(k, messages.VectorReply)}
        if not masked or message.type not in vectors:
            return message
        return replace(message, reveals=f"Noise; in sum over the sites: {message.reveals}")

    def weaknesses(self) -> tuple[str, ...]:
        """Say what the sites that agreed to the run have set aside."""
        return tuple(_WORDS[override] for override in self.overrides) if self.secure else ()
