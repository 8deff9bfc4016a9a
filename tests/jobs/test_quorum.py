"""When a training may start, with whom, and whom it waits for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from fed_audience.federation.messages.members import Offer, State
from fed_audience.jobs.quorum import decide
from tests.federation.agreed import SITES, contract, identities

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
KEYS = identities()


def state(sha256: str | None, **changes: Any) -> State:
    fields: dict[str, Any] = {
        "software": None,
        "contract_sha256": sha256,
        "signature": None,
        "approval": None,
        "offers": (Offer(model="repurchase"),),
        "run": None,
        "ended": None,
    }
    return State(**{**fields, **changes})


@pytest.mark.parametrize(
    ("model", "ready", "last", "trains"),
    [
        ({}, SITES, None, SITES),
        ({}, SITES[:2], None, ()),
        ({"quorum": 2}, SITES[:2], None, SITES[:2]),
        ({"quorum": 1}, SITES[:1], None, ()),
        ({"every_days": 7}, SITES[:2], None, ()),
        ({"every_days": 7}, SITES[:2], NOW - timedelta(days=6, hours=23), ()),
        ({"every_days": 7}, SITES[:2], NOW - timedelta(days=7), SITES[:2]),
        ({"every_days": 7}, SITES[:1], NOW - timedelta(days=9), ()),
        ({"every_days": 7}, SITES, NOW - timedelta(days=1), SITES),
    ],
)
def test_the_quorum_or_the_schedule_decides(
    model: dict[str, Any], ready: tuple[str, ...], last: datetime | None, trains: tuple[str, ...]
) -> None:
    agreed = contract(KEYS, minimum_sites=2, model=model)
    states = {site: state(agreed.sha256) for site in ready}
    found = decide(agreed, agreed.models[0], states, last, NOW)
    assert found.sites == trains
    assert found.asked
    assert set(found.waits) == set(SITES) - set(ready)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"contract_sha256": None}, "has not signed the contract"),
        ({"contract_sha256": "0" * 64}, "has signed another contract"),
        ({"run": "other"}, "is in another run"),
        ({"offers": ()}, "has no training queued"),
        ({"offers": (Offer(model="premium"),)}, "has no training queued"),
        ({"offers": (Offer(model="repurchase", refused="unit"),)}, "is refused: unit"),
    ],
)
def test_what_keeps_a_site_is_said(changes: dict[str, Any], words: str) -> None:
    agreed = contract(KEYS)
    states = {site: state(agreed.sha256) for site in SITES}
    states["bee"] = state(agreed.sha256, **changes)
    found = decide(agreed, agreed.models[0], states, None, NOW)
    assert (found.sites, dict(found.waits)) == ((), {"bee": words})
