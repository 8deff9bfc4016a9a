"""What the opening of a run asks of a site's rows: a few numbers, no row."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fed_audience.federation.messages import SiteNote


@dataclass(frozen=True, slots=True)
class RowFacts:
    """Numbers of a site's rows.

    ``positives``: training rows whose label is not 0, None where the rows have no labels.
    ``clipped``: feature -> training rows whose value had to be clipped (infinities among them).
    """

    rows: int
    training_rows: int
    positives: int | None
    missing_features: tuple[int, ...]
    clipped: Mapping[int, int]

    @classmethod
    def joined(cls, shares: Sequence[RowFacts]) -> Self:
        """Facts of the rows of all ``shares``: a feature is missing where no share has it."""
        missing = set(shares[0].missing_features).intersection(
            *(s.missing_features for s in shares)
        )
        positives = [share.positives for share in shares if share.positives is not None]
        clipped: Counter[int] = Counter()
        for share in shares:
            clipped.update(share.clipped)
        return cls(
            sum(share.rows for share in shares),
            sum(share.training_rows for share in shares),
            sum(positives) if positives else None,
            tuple(sorted(missing)),
            dict(sorted(clipped.items())),
        )

    def notes(self, objective: str) -> tuple[SiteNote, ...]:
        """Say what is unusual about the training rows, in words of a closed list."""
        if self.training_rows == 0:
            return ("no_rows",)
        if self.positives is None or objective != "binary":
            return ()
        if self.positives == 0:
            return ("no_positives",)
        return ("no_negatives",) if self.positives == self.training_rows else ()
