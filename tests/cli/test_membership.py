"""`fed-audience identity` and `fed-audience roster`, and `train` with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fed_audience import cli
from tests.cli.conftest import Fail
from tests.jobs.small_federation import AS_OF, BRANDS, SmallFederation


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as left:
        cli.main([str(one) for one in arguments])
    out = capsys.readouterr().out
    assert left.value.code == 0
    return out


def test_sites_make_keys_approve_a_roster_and_train(
    small_federation: SmallFederation, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ("--config", small_federation.config)
    assert "no roster at" in said(capsys, "roster", "show", *config)
    for brand in BRANDS:
        made = said(capsys, "identity", "create", brand, *config)
        key = said(capsys, "identity", "show", brand, *config).split()[1]
        assert f"roster add {brand} {key}" in made
        said(capsys, "roster", "add", brand, key, *config)
    shown = said(capsys, "roster", "show", *config)
    assert shown.count("not approved yet") == 2
    for brand in BRANDS:
        said(capsys, "roster", "approve", brand, *config)
    assert said(capsys, "roster", "show", *config).count("  approved") == 2
    trained = said(capsys, "train", "repurchase", *config, "--as-of", AS_OF)
    assert "repurchase version" in trained
    private = [path.read_text() for path in small_federation.folder.rglob("*.pem")]
    secret = [re.sub(r"-----.*?-----|\s", "", text) for text in private]
    for path in (small_federation.folder / "audit").glob("*.jsonl"):
        assert not any(one in path.read_text() for one in secret)


def test_what_is_not_signed_is_refused(
    small_federation: SmallFederation, fail: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    config = ("--config", small_federation.config)
    keys = []
    for brand in BRANDS:
        said(capsys, "identity", "create", brand, *config)
        keys.append(said(capsys, "identity", "show", brand, *config).split()[1])
        said(capsys, "roster", "add", brand, keys[-1], *config)
    code, why = fail("train", "repurchase", *config, "--as-of", AS_OF)
    assert (code, "has not approved the roster" in why) == (8, True), why
    code, why = fail("identity", "create", "ant", *config)
    assert (code, "has an identity already" in why) == (3, True), why
    code, why = fail("roster", "add", "ant", keys[1], *config)
    assert (code, "another key of that site" in why) == (3, True), why
    code, why = fail("roster", "add", "cat", keys[1], *config)
    assert (code, "two sites have the same key" in why) == (8, True), why
    for wrong in ("no key", "abcd"):
        code, why = fail("roster", "add", "cat", wrong, *config)
        assert (code, "no public key" in why) == (2, True), why
    code, why = fail("identity", "show", "emu", *config)
    assert (code, "no site of that name" in why) == (3, True), why
    assert small_federation.requests() == {"ant": "pending", "bee": "pending"}


def test_an_explicit_roster_must_exist(
    small_federation: SmallFederation, fail: Fail, tmp_path: Path
) -> None:
    small_federation.edit("name: small\n", f"name: small\nroster: {tmp_path / 'none.json'}\n")
    config = ("--config", small_federation.config)
    code, why = fail("roster", "approve", "ant", *config)
    assert (code, "no roster to approve" in why) == (3, True), why
