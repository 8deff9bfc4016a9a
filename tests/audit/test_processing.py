"""The record of processing of a run and of overlaps: what was declared, and what was done."""

from __future__ import annotations

from pathlib import Path

import pytest

from fed_audience.audit import entries as e
from fed_audience.audit.fields import band, figure
from fed_audience.audit.processing import processing_markdown, processing_record
from fed_audience.audit.verification import Verification, verify
from fed_audience.errors import AuditError
from tests.audit.example import (
    RECORD,
    RUN,
    SITES,
    Parties,
    delivered_log,
    end,
    start,
    sum_round,
)

AT = "2026-10-01T00:00:00.000000Z"


@pytest.fixture
def log(tmp_path: Path) -> Verification:
    parties = Parties(tmp_path)
    return verify(delivered_log(parties), pinned=parties.pinned)


def test_the_record_of_processing_holds_what_was_declared_and_done(log: Verification) -> None:
    record = processing_record(log)
    assert record["declared"] == RECORD.model_dump(mode="json")
    assert record["rounds"] == 6
    assert record["sites"][0] == {
        "site": "fashion",
        "used": "1,000 to 9,999",
        "withdrawn": "under 100",
    }
    assert record["delivered"][0]["added"] == "1,000 to 9,999"


def test_the_page_of_the_record_tells_the_same(log: Verification) -> None:
    page = processing_markdown(log)
    assert page.startswith("# Record of processing: repurchase-20261001\n")
    for words in (
        "- **purpose**: find customers who are likely to buy again",
        "- **processors**: none",
        "| fashion | 1,000 to 9,999 | under 100 |",
        "| top | fashion | crm | activate:email |",
        "## Overrides\n\nNone.",
        log.root,
    ):
        assert words in page


def test_a_log_that_came_to_nothing_is_not_retold(tmp_path: Path) -> None:
    with Parties(tmp_path).begin() as log:
        start(log)
        log.append(e.RunEnded, status="failed", error="FederationError")
    failed = verify(log.path)
    for retell in (processing_record, processing_markdown):
        with pytest.raises(AuditError, match="no training that came to a model"):
            retell(failed)


def test_noise_is_told_and_no_rows(tmp_path: Path) -> None:
    with Parties(tmp_path).begin() as log:
        log.append(
            e.RunStarted,
            run=RUN,
            model="repurchase",
            task="propensity",
            manifest_sha256="1" * 64,
            configuration_sha256="2" * 64,
            features_sha256="3" * 64,
            sites=SITES,
            label_sites=SITES,
            rows=[],
            secure=True,
            record=None,
        )
        promised = {"epsilon": figure(1.0), "delta": figure(1e-6), "mu": figure(0.2374)}
        log.append(e.PrivacyPromised, **promised, colluders=1)
        sum_round(log, 0, 0)
        end(log)
    found = verify(log.path)
    assert processing_record(found)["privacy"]["epsilon"] == "1"
    page = processing_markdown(found)
    assert "Noise at the sites: (1, 1e-06)-differentially private" in page
    assert "## Rows by site\n\nNone." in page
    assert "Nothing was declared" in page


def overlaps(folder: Path, *, declared: bool) -> Verification:
    with Parties(folder).begin("overlap-fashion-grocery") as log:
        if declared:
            log.append(e.ProcessingDeclared, record=RECORD)
        log.append(
            e.OverlapCompared,
            query="9" * 64,
            site="fashion",
            partner="grocery",
            side="asked",
            purpose="share_partner",
            matched_by="email",
            audience=None,
            as_of=AT,
            listed=band(1_125),
            number=1,
        )
        log.append(
            e.OverlapReleased,
            query="9" * 64,
            site="fashion",
            partner="grocery",
            overlap=band(585),
        )
    return verify(log.path)


def test_overlaps_are_retold_with_what_was_declared_of_them(tmp_path: Path) -> None:
    log = overlaps(tmp_path, declared=True)
    record = processing_record(log)
    assert record["declared"] == RECORD.model_dump(mode="json")
    (compared,) = record["compared"]
    assert compared["listed"] == "1,000 to 9,999"
    assert (compared["purpose"], compared["side"], compared["number"]) == (
        "share_partner",
        "asked",
        1,
    )
    assert [one["overlap"] for one in record["released"]] == ["100 to 999"]
    assert record["log"]["root"] == log.root
    page = processing_markdown(log)
    for words in (
        "- **legal basis**: consent (Art. 6(1)(a) GDPR), kept in each brand's ledger",
        "| fashion | grocery | asked | share_partner | email |  | 1,000 to 9,999 |",
        "| fashion | grocery | 100 to 999 |",
    ):
        assert words in page


def test_overlaps_of_which_nothing_was_declared_say_so(tmp_path: Path) -> None:
    log = overlaps(tmp_path, declared=False)
    assert processing_record(log)["declared"] is None
    assert "Nothing was declared" in processing_markdown(log)
