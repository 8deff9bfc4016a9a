"""Messages by which the sites of a root open its sum, though some may have left."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from fed_audience.federation.messages.base import Count, Reply, Request
from fed_audience.federation.messages.keys import Digest, Signature  # noqa: TC001 - pydantic reads them at run time
from fed_audience.federation.messages.wire import ArrayType

ByteTable = Annotated[NDArray[np.uint8], ArrayType("|u1", 2)]
ShareTable = Annotated[NDArray[np.uint32], ArrayType("<u4", 2)]


class OpeningRequest(Request):
    """Base of requests about a root's masks. ``slot``: the root's; sites by place in the run."""


class ShareSeeds(OpeningRequest):
    """Share the seeds of own masks of the next 16 trees' roots out to the sites of the cohort."""

    kind: ClassVar[int] = 16
    reveals: ClassVar[str] = "To the site: which sites the next roots are asked of."


class HoldShares(OpeningRequest):
    """Keep what the ``senders`` left with this site, sealed for it: one row of bytes each."""

    kind: ClassVar[int] = 17
    reveals: ClassVar[str] = "To the site: its shares of the others' seeds, too few to use alone."
    senders: tuple[Count, ...]
    envelopes: ByteTable


class SignSurvivors(OpeningRequest):
    """Sign that the sum of this root is opened over ``survivors``, and over no other sites."""

    kind: ClassVar[int] = 18
    reveals: ClassVar[str] = "To the site: which sites answered the round."
    survivors: tuple[Count, ...]


class RevealSeed(OpeningRequest):
    """Reveal the seed of the site's own mask. ``signatures``: of all survivors, by name."""

    kind: ClassVar[int] = 19
    reveals: ClassVar[str] = "To the site: that all survivors signed the same set."
    signatures: tuple[Signature, ...]


class ReleaseShares(OpeningRequest):
    """Give the shares of the seeds of ``missing``, survivors who did not reveal theirs."""

    kind: ClassVar[int] = 20
    reveals: ClassVar[str] = "To the site: which survivors vanished, and that all had signed."
    signatures: tuple[Signature, ...]
    missing: tuple[Count, ...]


class SeedShares(Reply):
    """Shares of the site's seeds, a row for each other site of the cohort, by name."""

    kind: ClassVar[int] = 80
    reveals: ClassVar[str] = (
        "Nothing: each row is sealed for one other site, and fewer than two thirds of the sites "
        "can do nothing with theirs."
    )
    envelopes: ByteTable


class SharesHeld(Reply):
    """The site holds what the others left with it."""

    kind: ClassVar[int] = 81
    reveals: ClassVar[str] = "That the shares reached the site. Nothing about its rows."


class SurvivorsSigned(Reply):
    """The site's signature under the survivors; the round's key with each who left, by name."""

    kind: ClassVar[int] = 82
    reveals: ClassVar[str] = (
        "Which sites the site was told are left, with its signature; the masks of this one round "
        "that it shares with those who left. Nothing about its rows."
    )
    signature: Signature
    pair_keys: tuple[Digest, ...]


class SeedRevealed(Reply):
    """The seed of the mask that the site alone laid on its vector."""

    kind: ClassVar[int] = 83
    reveals: ClassVar[str] = (
        "The site's own mask of this one round: with those of all survivors their sum can be "
        "read. Alone the vector stays noise, under the masks shared with other survivors."
    )
    seed: Digest


class SharesReleased(Reply):
    """Shares of the missing sites' seeds: uint32[missing, 9]."""

    kind: ClassVar[int] = 84
    reveals: ClassVar[str] = (
        "With those of two thirds of the sites, the own mask of a survivor who vanished. Nothing "
        "about the rows of the site that sends it."
    )
    shares: ShareTable
