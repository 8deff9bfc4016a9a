"""What a person can consent to. No purpose implies another."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Final

from fed_audience.errors import ConsentError

COLLECT: Final = "collect"
PROFILE: Final = "profile"
TRAIN: Final = "train"
SHARE_MODEL: Final = "share_model"
SHARE_PARTNER: Final = "share_partner"

TRAINING: Final = (TRAIN, SHARE_MODEL)
"""A record trains in a federation only with both."""

PURPOSES: Final = {
    COLLECT: "keep what the person does at all",
    PROFILE: "compute features and scores of the person",
    TRAIN: "be part of training at the brand",
    SHARE_MODEL: "let statistics that the person is part of leave the brand",
    SHARE_PARTNER: "hand the person's identity to a partner",
}
"""Every purpose but activation, with what it permits."""

_ACTIVATION = re.compile(r"activate:[a-z][a-z0-9_]{0,30}")


def activation(channel: str) -> str:
    """Return the purpose of sending a person through ``channel``; ConsentError if malformed."""
    return validated(f"activate:{channel}")


def validated(purpose: str) -> str:
    """Return ``purpose``, or raise ConsentError naming the nearest one there is."""
    if purpose in PURPOSES or _ACTIVATION.fullmatch(purpose):
        return purpose
    known = [*PURPOSES, "activate:email", "activate:ads"]
    near = get_close_matches(purpose, known, n=1, cutoff=0.5)
    raise ConsentError(
        "no such purpose of consent",
        value=purpose,
        limit=f"{', '.join(PURPOSES)}, activate:<channel>",
        fix=f"did you mean '{near[0]}'?" if near else "use one of these; nothing was decided",
    )


def permits(purpose: str) -> str:
    """Say in plain words what ``purpose`` permits."""
    words = PURPOSES.get(purpose)
    return words or f"be sent to destinations through {purpose.removeprefix('activate:')}"
