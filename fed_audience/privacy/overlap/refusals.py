"""Why a brand refuses an overlap, in words that hold nothing of anyone's customers."""

from __future__ import annotations

from typing import Final, Literal

from fed_audience.errors import FederationError

OverlapReason = Literal[
    "short_list",
    "long_list",
    "bad_terms",
    "other_terms",
    "other_salt",
    "other_query",
    "not_for_us",
    "bad_signature",
    "unknown_partner",
    "replayed",
    "not_open",
    "bad_point",
    "out_of_order",
    "wrong_size",
    "kept_state",
]

EXPLANATIONS: Final[dict[OverlapReason, tuple[str, str]]] = {
    "short_list": (
        "a list is too short to be compared: an overlap with few people tells of each of them",
        "compare a larger part of the customers",
    ),
    "long_list": (
        "a list is too long for one message",
        "compare an audience instead of all customers",
    ),
    "bad_terms": (
        "these cannot be the terms of an overlap",
        "correct overlap in federation.yml",
    ),
    "other_terms": (
        "the partner states other terms than this brand",
        "agree on one value, write it into overlap in both brands' federation.yml, and ask again",
    ),
    "other_salt": (
        "the partner's salt is not this brand's, so equal customers would not meet",
        "give both brands the same secret for their collaboration, and ask again",
    ),
    "other_query": (
        "the message belongs to another query or to other terms of it",
        "take the file that the partner made for this query",
    ),
    "not_for_us": (
        "the message is meant for another brand, or for another step",
        "give it to the brand and the command it was made for",
    ),
    "bad_signature": (
        "the message is not signed by the brand it names",
        "ask the partner for the file again, by a way that nobody changes it on",
    ),
    "unknown_partner": (
        "the partner's public key is not pinned here",
        "write the line of its key, as the partner hands it over, into the file of pinned keys",
    ),
    "replayed": (
        "the query was asked before: an answer again would be a second draw of the noise",
        "send the answer that was made the first time, or let the partner ask a query anew",
    ),
    "not_open": (
        "this brand has no such query open: it was never begun here, or has ended",
        "ask a query anew",
    ),
    "bad_point": (
        "the message holds what is no point of the group",
        "do not go on with this partner until it is known why; nothing was answered",
    ),
    "out_of_order": (
        "the points of a message repeat, or are not in ascending order",
        "do not go on with this partner until it is known why; nothing was answered",
    ),
    "wrong_size": (
        "a list has another number of points than the protocol gives it",
        "do not go on with this partner until it is known why; nothing was answered",
    ),
    "kept_state": (
        "what this brand keeps of its open queries cannot be read or written",
        "check overlap.folder in federation.yml and its permissions, or ask a query anew",
    ),
}


class OverlapError(FederationError):
    """A refusal of an overlap. ``reason`` is a word of a closed list."""

    def __init__(
        self,
        reason: OverlapReason,
        *,
        detail: object = None,
        limit: object = None,
        looked: str | None = None,
    ) -> None:
        what, fix = EXPLANATIONS[reason]
        super().__init__(what, value=detail, limit=limit, looked=looked, fix=fix)
        self.reason: OverlapReason = reason
