"""What a coordinator keeps of a run as it goes; without a folder, nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from fed_audience.federation import messages as m
    from fed_audience.federation.lasting.journal_records import (
        FinishedTrees,
        Preparation,
        SharesLeft,
    )
    from fed_audience.federation.manifest import Manifest
    from fed_audience.federation.rounds.books import Books


@dataclass(slots=True)
class Known:
    """What is known of a round from before an interruption; of a new round, nothing.

    ``survivors``: the set that its sites were asked to sign. ``sums``: int64[n], its outcome;
    ``replies``: site -> body, that of a round without sums.
    """

    request: bytes = b""
    survivors: tuple[str, ...] = ()
    sums: NDArray[np.int64] | None = None
    replies: Mapping[str, bytes] | None = None


class Journal:
    """The journal of a run that lives and dies with its process: it keeps nothing."""

    lasts = False
    resumed = False
    cancelled = False
    completed = False
    preparation: Preparation | None = None
    shares: SharesLeft | None = None
    books: Books | None = None

    @property
    def finished(self) -> int:
        """Rounds of trees that are finished."""
        return 0

    @property
    def cohort(self) -> tuple[str, ...]:
        """The sites that were asked last, where that is known."""
        return ()

    def begin(self, manifest: Manifest) -> None:
        """Begin the run of ``manifest``, or stand where it was interrupted."""

    def announce(self, request: m.Request, books: Books) -> Known:
        """Keep ``request`` before it is sent; say what is known of its round."""
        del request, books
        return Known()

    def choose(self, survivors: Sequence[str]) -> None:
        """Keep who is left of the round under way before they are asked to sign it."""

    def summed(self, sums: NDArray[np.int64], books: Books) -> None:
        """Keep the outcome of the round under way, int64[n]."""

    def replied(self, replies: Mapping[str, m.Reply], books: Books) -> None:
        """Keep the outcome of a round that is no sum."""

    def left_shares(self, shares: SharesLeft) -> None:
        """Keep who left shares of which roots' seeds."""

    def warned(self, site: str, text: str) -> None:
        """Keep a warning with what is finished next."""

    def prepared(self, preparation: Preparation, books: Books) -> None:
        """Keep what was agreed before the first tree."""

    def trees(self, number: int) -> FinishedTrees | None:
        """Return round ``number`` of trees when it is finished."""
        del number
        return None

    def finish(self, trees: FinishedTrees, books: Books) -> None:
        """Keep a finished round of trees before anybody is told."""

    def complete(self) -> None:
        """Keep that the run is over and nothing is left to ask."""

    def cancel(self) -> None:
        """Keep that the run is over and is not to be resumed."""

    def close(self) -> None:
        """Let the files go."""
