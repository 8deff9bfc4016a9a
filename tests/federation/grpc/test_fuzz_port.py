from __future__ import annotations

from pathlib import Path

from tests.federation.grpc.fuzz_port import fuzz


def test_a_coordinator_outlives_what_is_sent_to_its_port(tmp_path: Path) -> None:
    outcome = fuzz(400, tmp_path, seed=7)
    assert outcome.problems == []
    assert outcome.answers["answered"] > 60
