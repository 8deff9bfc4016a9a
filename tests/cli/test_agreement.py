"""`fed-audience federation show`, `sign` and `verify`."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Fail
from tests.cli.test_membership import said
from tests.jobs.small_federation import SmallFederation
from tests.jobs.test_contracts import agreed


def test_sites_read_sign_and_verify_the_contract(
    small_federation: SmallFederation, fail: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ("--config", agreed(small_federation).config)
    shown = said(capsys, "federation", "show", *config)
    assert "f_spend: number in euros EUR: spend of 90 days" in shown
    assert "label: buys again (90 days)" in shown
    assert shown.count("not signed") == 2
    assert "Still to sign: bee" in said(capsys, "federation", "sign", "ant", *config)
    code, why = fail("federation", "verify", *config)
    assert (code, "value: bee" in why) == (16, True), why
    assert "Still" not in said(capsys, "federation", "sign", "bee", *config)
    assert "Every site has signed" in said(capsys, "federation", "verify", *config)
    small_federation.edit("horizon_days: 90", "horizon_days: 30")
    again = said(capsys, "federation", "sign", "ant", *config)
    assert "Changed since ant signed last, first of all: models.repurchase.label" in again
