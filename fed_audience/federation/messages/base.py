"""What every message is made of: slots, requests, replies, and why a site refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fed_audience.config import StrictModel
from fed_audience.errors import FederationError
from fed_audience.federation.messages.wire import ArrayType, WireModel, encode_in_place
from fed_audience.privacy.masks import RING_64, Ring, RingVector
from fed_audience.privacy.refusals import SecureSumReason

if TYPE_CHECKING:
    from collections.abc import Callable

PREPARATION: Final = -1
"""``Slot.tree`` of the rounds before the first tree."""

EVALUATION: Final = 2**31 - 1
"""``Slot.tree`` of the rounds that score validation rows."""

Int32Vector = Annotated[NDArray[np.int32], ArrayType("<i4")]
Int32Table = Annotated[NDArray[np.int32], ArrayType("<i4", 2)]
UInt32Vector = Annotated[NDArray[np.uint32], ArrayType("<u4")]
CodeSets = Annotated[NDArray[np.uint8], ArrayType("|u1", 2)]
Float64Vector = Annotated[NDArray[np.float64], ArrayType("<f8")]
RingWords = Annotated[NDArray[np.uint32], ArrayType("<u4")]
_WORD_BYTES: Final = 4
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]

DataReason = Literal[
    "bad_message",
    "bad_manifest",
    "not_in_roster",
    "wrong_run",
    "no_run",
    "withdrawn",
    "rows_changed",
    "no_checkpoint",
    "checkpoint",
    "wrong_state",
    "stale_slot",
    "changed_request",
    "missing_column",
    "missing_feature",
    "column_type",
    "label_values",
    "weight_values",
    "brand_values",
    "row_keys",
    "no_room",
    "too_few_rows",
    "too_many_rows",
    "no_identity",
    "plain_sums",
    "loose_delta",
    "over_budget",
    "not_kept",
    "other_contract",
    "workers",
    "not_spread",
]
Reason = Literal[DataReason, SecureSumReason]
"""Why a site refuses: because of the request or its rows, or by a rule of the secure sum."""

SiteNote = Literal["no_rows", "no_positives", "no_negatives"]


class Slot(StrictModel):
    """Which round of which run. A site answers a slot once; asked again, with the same bytes.

    ``attempt`` rises when the coordinator asks anew for a vector it lost; the vector stays.
    """

    run: Annotated[str, Field(min_length=1, max_length=200)]
    tree: Annotated[int, Field(ge=PREPARATION, le=EVALUATION)]
    level: Count
    attempt: Count = 0

    @property
    def position(self) -> tuple[int, int]:
        """Order of slots within a run."""
        return (self.tree, self.level)


class Request(WireModel):
    """From the coordinator to sites.

    ``absent``: which of the manifest's sites this round does without; a vector is masked for the
    others. ``of_all_sites``: whether the sites without labels are asked too.
    """

    of_all_sites: ClassVar[bool] = False
    slot: Slot
    absent: tuple[Count, ...] = ()


class Reply(WireModel):
    """From one site to the coordinator."""

    slot: Slot


class VectorReply(Reply):
    """A vector of ring elements that only its sum over the sites gives a meaning.

    ``words``: elements of 32 bits, or of 64 bits with the low half first.
    """

    words: RingWords

    @classmethod
    def encoded(
        cls, slot: Slot, ring: Ring, length: int, write: Callable[[RingVector], None]
    ) -> bytes:
        """Return the bytes of a reply of ``length`` ring elements, which ``write`` fills in."""
        words = length * ring.bytes // _WORD_BYTES
        blank = cls.model_construct(slot=slot)
        return encode_in_place(blank, words, lambda out: write(out.view(ring.dtype)))

    def elements(self, ring: Ring) -> RingVector:
        """Return the ring elements, uint32[n] or uint64[n]."""
        if self.words.nbytes % ring.bytes:
            raise FederationError("a vector ends in the middle of an element")
        found: RingVector = self.words.view(ring.dtype)
        return found

    def integers(self, ring: Ring = RING_64) -> NDArray[np.int64]:
        """Read the elements as integers: masked ones are noise."""
        return ring.integers(self.elements(ring))
