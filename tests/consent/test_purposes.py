"""The names of purposes."""

from __future__ import annotations

import pytest

from fed_audience.consent.purposes import PURPOSES, TRAINING, activation, permits, validated
from fed_audience.errors import ConsentError


@pytest.mark.parametrize("purpose", [*PURPOSES, *TRAINING, "activate:email", "activate:ads_2"])
def test_known_purposes_are_accepted_and_explained(purpose: str) -> None:
    assert validated(purpose) == purpose
    assert len(permits(purpose)) > 10


@pytest.mark.parametrize(
    ("purpose", "near"),
    [("trian", "train"), ("activate:Email", "activate:email"), ("share_models", "share_model")],
)
def test_a_typing_error_gets_the_nearest_name(purpose: str, near: str) -> None:
    with pytest.raises(ConsentError, match=f"did you mean '{near}'"):
        validated(purpose)


@pytest.mark.parametrize("purpose", ["", "activate", "activate:", "activate:*", "*", "train; --"])
def test_nothing_else_is_a_purpose(purpose: str) -> None:
    with pytest.raises(ConsentError, match="no such purpose"):
        validated(purpose)


def test_a_channel_makes_a_purpose() -> None:
    assert activation("email") == "activate:email"
    with pytest.raises(ConsentError):
        activation("e mail")
