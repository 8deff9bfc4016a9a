from __future__ import annotations

import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import Envelope, InProcessTransport
from tests.federation.example import programs, run, table


def test_every_byte_both_ways_is_shown_before_anyone_uses_it() -> None:
    seen: list[Envelope] = []
    result = run({"a": table(300), "b": table(300, seed=9)}, on_message=seen.append)
    assert len(seen) == 2 * 2 * result.rounds
    down = sum(len(e.body) for e in seen if e.direction == "to_site" and e.site == "a")
    assert down == result.bytes_down["a"]


def test_an_unknown_site_is_named() -> None:
    with pytest.raises(FederationError, match="not in this process; value: z"):
        list(InProcessTransport(programs({"a": table(1)})).call(b"", ["z"], 1.0))
