"""The closed catalogue of messages. What is not in it cannot be sent.

A request goes from the coordinator to sites; each has exactly one type of reply. Replies carry
integers and words from closed lists: no float, no free text and no value of a row leaves a site.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

from fed_audience.federation.messages import wire
from fed_audience.federation.messages.base import (
    EVALUATION,
    PREPARATION,
    Count,
    Reason,
    Reply,
    Request,
    SiteNote,
    Slot,
    VectorReply,
)
from fed_audience.federation.messages.keys import AgreeKeys, KeysAgreed, PresentKey, RunKey
from fed_audience.federation.messages.lasting import (
    ForgetRun,
    ResumeRun,
    RunForgotten,
    RunResumed,
)
from fed_audience.federation.messages.openings import (
    HoldShares,
    OpeningRequest,
    ReleaseShares,
    RevealSeed,
    SeedRevealed,
    SeedShares,
    ShareSeeds,
    SharesHeld,
    SharesReleased,
    SignSurvivors,
    SurvivorsSigned,
)
from fed_audience.federation.messages.private import (
    BinsFixed,
    CategoryHashes,
    CountNoisily,
    FixNoisyBins,
    HashCategories,
    NoisyCounts,
    NoisyScores,
    NoisySums,
    ScoreNoisily,
    SumFeature,
)
from fed_audience.federation.messages.training import (
    ContributionSums,
    CountValues,
    ExplainRows,
    FinishTraining,
    FixBins,
    GrowLevel,
    HistogramRequest,
    LabelCounts,
    LevelHistogram,
    OpenRun,
    Refused,
    RootHistogram,
    RunOpened,
    ScoreHistogram,
    ScoreValidation,
    StartTree,
    TreeClosing,
    ValidationLoss,
    ValueCounts,
    WholeModel,
)

if TYPE_CHECKING:
    from fed_audience.federation.messages.wire import WireModel

__all__ = [
    "CATALOGUE",
    "EVALUATION",
    "PREPARATION",
    "REPLIES",
    "REQUESTS",
    "AgreeKeys",
    "BinsFixed",
    "CategoryHashes",
    "ContributionSums",
    "Count",
    "CountNoisily",
    "CountValues",
    "ExplainRows",
    "FinishTraining",
    "FixBins",
    "FixNoisyBins",
    "ForgetRun",
    "GrowLevel",
    "HashCategories",
    "HistogramRequest",
    "HoldShares",
    "KeysAgreed",
    "LabelCounts",
    "LevelHistogram",
    "NoisyCounts",
    "NoisyScores",
    "NoisySums",
    "OpenRun",
    "OpeningRequest",
    "PresentKey",
    "Reason",
    "Refused",
    "ReleaseShares",
    "Reply",
    "Request",
    "ResumeRun",
    "RevealSeed",
    "RootHistogram",
    "RunForgotten",
    "RunKey",
    "RunOpened",
    "RunResumed",
    "ScoreHistogram",
    "ScoreNoisily",
    "ScoreValidation",
    "SeedRevealed",
    "SeedShares",
    "ShareSeeds",
    "SharesHeld",
    "SharesReleased",
    "SignSurvivors",
    "SiteNote",
    "Slot",
    "StartTree",
    "SumFeature",
    "SurvivorsSigned",
    "TreeClosing",
    "ValidationLoss",
    "ValueCounts",
    "VectorReply",
    "WholeModel",
    "decode",
    "decode_reply",
    "decode_request",
    "encode",
]


REQUESTS: Final[tuple[type[Request], ...]] = (
    OpenRun,
    CountValues,
    FixBins,
    StartTree,
    GrowLevel,
    FinishTraining,
    ScoreValidation,
    ExplainRows,
    PresentKey,
    AgreeKeys,
    ShareSeeds,
    HoldShares,
    SignSurvivors,
    RevealSeed,
    ReleaseShares,
    HashCategories,
    CountNoisily,
    FixNoisyBins,
    SumFeature,
    ScoreNoisily,
    ResumeRun,
    ForgetRun,
)
REPLIES: Final[tuple[type[Reply], ...]] = (
    RunOpened,
    ValueCounts,
    LabelCounts,
    RootHistogram,
    LevelHistogram,
    ValidationLoss,
    ScoreHistogram,
    ContributionSums,
    RunKey,
    KeysAgreed,
    SeedShares,
    SharesHeld,
    SurvivorsSigned,
    SeedRevealed,
    SharesReleased,
    CategoryHashes,
    NoisyCounts,
    BinsFixed,
    NoisySums,
    NoisyScores,
    RunResumed,
    RunForgotten,
    Refused,
)
CATALOGUE: Final[dict[int, type[WireModel]]] = {kind.kind: kind for kind in (*REQUESTS, *REPLIES)}
"""Every message there is, by its number on the wire."""

_REQUEST_KINDS: Final = {kind.kind: kind for kind in REQUESTS}
_REPLY_KINDS: Final = {kind.kind: kind for kind in REPLIES}


def encode(message: WireModel) -> bytes:
    """Return the bytes of a message of the catalogue."""
    return wire.encode(message)


def decode(body: bytes) -> WireModel:
    """Read a message of the catalogue; raise FederationError for any other bytes."""
    return wire.decode(body, CATALOGUE)


@lru_cache(maxsize=1)  # sites of one process are sent the same bytes: these are read once
def decode_request(body: bytes) -> Request:
    """Read a request, at a site. Raises FederationError for a reply or anything else."""
    return cast("Request", wire.decode(body, _REQUEST_KINDS))


def decode_reply(body: bytes) -> Reply:
    """Read a reply, at the coordinator. Raises FederationError for a request or anything else."""
    return cast("Reply", wire.decode(body, _REPLY_KINDS))
