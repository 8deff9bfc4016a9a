"""A log retold: what others read of it follows from entries that were verified."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from fed_audience.audit import entries as e
from fed_audience.audit.export import in_toto_statement
from fed_audience.audit.merkle import includes
from fed_audience.audit.notes import check_note
from fed_audience.audit.replay import Replay
from fed_audience.audit.verification import Verification, verify
from fed_audience.errors import AuditError
from tests.audit.example import SITES, Parties, delivered_log, start


@pytest.fixture
def log(tmp_path: Path) -> Verification:
    parties = Parties(tmp_path)
    return verify(delivered_log(parties), pinned=parties.pinned)


def test_the_statement_names_the_model_and_what_it_was_made_of(log: Verification) -> None:
    statement = in_toto_statement(log)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"] == [
        {
            "name": "repurchase-abcdefabcdef.txt",
            "digest": {"sha256": "abcdefabcdef" + "0" * 52},
        }
    ]
    build = statement["predicate"]["buildDefinition"]
    materials = {one["name"]: one for one in build["resolvedDependencies"]}
    assert materials["configuration"]["digest"] == {"sha256": "2" * 64}
    assert materials["run manifest"]["digest"] == {"sha256": "1" * 64}
    assert materials["audit log of 12 entries"]["digest"] == {"sha256": log.root}
    assert len(materials["roster"]["annotations"]["keys"]) == len(SITES) + 1
    assert build["externalParameters"]["sites"] == list(SITES)


def test_the_statement_proves_by_itself_that_the_log_holds_the_model(log: Verification) -> None:
    products: dict[str, Any] = {
        one["name"]: one for one in in_toto_statement(log)["predicate"]["runDetails"]["byproducts"]
    }
    replay = Replay(log.path)
    replay.read(log.path.read_bytes())
    note = base64.b64decode(products["checkpoint"]["content"]).decode()
    head = check_note(note, replay.roster)
    entry = products["entry of the model"]
    leaf = base64.b64decode(entry["content"])
    proof = [base64.b64decode(one) for one in entry["annotations"]["inclusion_proof"]]
    index = entry["annotations"]["leaf_index"]
    assert includes(leaf, index, head.size, proof, head.root)
    assert not includes(leaf.replace(b"abc", b"bbc"), index, head.size, proof, head.root)


def test_a_log_without_a_model_is_not_retold(tmp_path: Path) -> None:
    with Parties(tmp_path).begin() as log:
        start(log)
        log.append(e.RunEnded, status="failed", error="FederationError")
    failed = verify(log.path)
    with pytest.raises(AuditError, match="no training that came to a model"):
        in_toto_statement(failed)
