"""Keys, rosters and ledgers of a federation's sites, from one run to the next."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fed_audience.audit.keys import KeyFile
from fed_audience.errors import ConfigError
from fed_audience.jobs.members import Members
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.train import train_model
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.run_keys import RunTerms
from tests.jobs.small_federation import BRANDS, NOW, SmallFederation

FIVE = ("ant", "bee", "cat", "dog", "eel")


@pytest.fixture
def members(tmp_path: Path) -> Members:
    """Five sites that have keys and no roster."""
    sites = "\n".join(f"  - {{name: {name}, project: {name}}}" for name in FIVE)
    config = tmp_path / "federation.yml"
    config.write_text(f"name: five\nsites:\n{sites}\n")
    found = Members(load_federation(config))
    for name in FIVE:
        found.create_identity(name)
    return found


def enrolled(members: Members) -> Members:
    for name in FIVE:
        members.add(name, members.identity(name).public_key)
    for name in FIVE:
        members.approve(name)
    return members


def builds(names: tuple[str, ...] = FIVE, build: str = "table@build1") -> dict[str, str | None]:
    return dict.fromkeys(names, build)


def terms(members: Members, names: tuple[str, ...], run: str = "r", **changes: Any) -> RunTerms:
    site = members.open(builds(names))[names[0]]
    fields = {"sites": names, "training_sites": names, "roster_sha256": site.roster.sha256}
    return RunTerms(**{"run": run, "manifest_sha256": "ab" * 32, **fields, **changes})


def test_a_key_is_made_once_and_read_by_its_owner_alone(members: Members) -> None:
    path = members.key_file("ant")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigError, match="has an identity already"):
        members.create_identity("ant")
    path.chmod(0o640)
    with pytest.raises(SecureSumError) as caught:
        members.identity("ant")
    assert caught.value.reason == "bad_identity"


def test_the_key_is_the_one_that_counter_signs_the_audit_log(members: Members) -> None:
    witness = KeyFile.open(members.key_file("bee"), "five/bee")
    assert witness.public_key == members.identity("bee").public_key


def test_a_site_without_key_or_of_no_name_is_said(members: Members) -> None:
    members.key_file("eel").unlink()
    with pytest.raises(ConfigError, match="no identity yet"):
        members.identity("eel")
    with pytest.raises(ConfigError, match="no site of that name"):
        members.identity("emu")


def test_a_roster_is_approved_by_every_site(members: Members) -> None:
    assert members.roster() is None
    for name in FIVE:
        members.add(name, members.identity(name).public_key)
    for name in FIVE[:-1]:
        members.approve(name)
    with pytest.raises(SecureSumError, match="eel") as caught:
        members.open(builds())
    assert caught.value.reason == "unapproved_roster"
    members.approve("eel")
    assert sorted(members.open(builds())) == sorted(FIVE)
    roster = members.roster()
    assert roster is not None
    assert members.holds_to("ant") == roster.sha256


def test_an_unknown_key_is_refused(members: Members) -> None:
    enrolled(members)
    members.key_file("cat").unlink()
    members.create_identity("cat")
    for act in (lambda: members.open(builds()), lambda: members.approve("cat")):
        with pytest.raises(SecureSumError, match="cat") as caught:
            act()
        assert caught.value.reason == "unknown_site"
    with pytest.raises(ConfigError, match="another key of that site"):
        members.add("cat", members.identity("cat").public_key)


def test_a_changed_roster_is_refused_until_every_site_approves_it(members: Members) -> None:
    enrolled(members)
    stranger = bytes(range(32))
    roster = members.add("fox", stranger)
    assert roster.approvals == {}
    signed = roster.approved(members.identity("ant"))
    for name in FIVE[1:]:
        signed = signed.approved(members.identity(name))
    members.roster_file.write_text(signed.to_json())
    with pytest.raises(SecureSumError, match="fox") as caught:
        members.open(builds())
    assert caught.value.reason == "unapproved_roster"


def test_a_roster_signed_behind_a_sites_back_is_refused(members: Members) -> None:
    """Its own approval is there, but the site holds to another."""
    enrolled(members)
    pin = members.key_file("bee").with_suffix(".roster")
    pin.write_text("ab" * 32)
    with pytest.raises(SecureSumError, match="bee") as caught:
        members.open(builds())
    assert caught.value.reason == "roster_changed"
    pin.unlink()
    with pytest.raises(SecureSumError, match="bee") as caught:
        members.open(builds())
    assert caught.value.reason == "unapproved_roster"


def test_a_roster_that_is_gone_or_no_roster_is_refused(members: Members) -> None:
    enrolled(members)
    members.roster_file.write_text("{}")
    with pytest.raises(SecureSumError) as caught:
        members.open(builds())
    assert caught.value.reason == "bad_roster"
    members.roster_file.unlink()
    with pytest.raises(ConfigError, match="roster that sites approved is gone"):
        members.open(builds())


def test_without_a_roster_there_is_nothing_to_approve(members: Members) -> None:
    with pytest.raises(ConfigError, match="no roster to approve"):
        members.approve("ant")


@pytest.mark.parametrize("prepare", [enrolled, lambda members: members], ids=["roster", "none"])
def test_a_site_remembers_with_whom_it_trained_on_a_build(
    members: Members, prepare: Callable[[Members], Members]
) -> None:
    prepare(members)
    first = terms(members, FIVE)
    for site in members.open(builds()).values():
        site.present(first, site.roster)
    fewer = FIVE[:4]
    site = members.open(builds(fewer))["ant"]
    with pytest.raises(SecureSumError) as caught:
        site.present(terms(members, fewer, "later"), site.roster)
    assert caught.value.reason == "earlier_cohort"
    with pytest.raises(ConfigError, match="override_small_change"):
        members.check_cohort(builds(fewer), fewer)
    members.check_cohort(builds(), FIVE)
    members.check_cohort(builds(fewer, "table@build2"), fewer)
    overridden = terms(members, fewer, "later", overrides=("small_change",))
    site.present(overridden, site.roster)
    rebuilt = members.open(builds(fewer, "table@build2"))["ant"]
    rebuilt.present(terms(members, fewer, "last"), rebuilt.roster)


def train(federation: SmallFederation) -> Any:
    settings = federation.settings
    return train_model(settings, settings.model("repurchase"), as_of=NOW, category_key=b"key")


def queue_again(federation: SmallFederation) -> None:
    for brand in BRANDS:
        federation.execute(
            brand,
            "update fed_audience.training_requests set status = 'pending', claimed_at = null,"
            " claimed_by = null, finished_at = null",
        )


def test_a_run_on_the_same_build_with_one_site_less_is_refused_or_overridden(
    small_federation: SmallFederation,
) -> None:
    """The sums of both runs would show the other brand's."""
    train(small_federation)
    queue_again(small_federation)
    train(small_federation)
    queue_again(small_federation)
    only = "  - name: repurchase\n    sites: [ant]"
    small_federation.edit("  - name: repurchase", only)
    with pytest.raises(ConfigError, match="almost the same sites before"):
        train(small_federation)
    assert small_federation.requests()["ant"] == "pending"
    small_federation.edit(
        only, f"{only}\n    override_small_change: two brands know it\n    override_by: Ada"
    )
    trained = train(small_federation)
    assert "small_change" in trained.manifest.overrides
    log = (small_federation.settings.audit.folder / f"{trained.manifest.run_id}.jsonl").read_text()
    assert '"rule":"small_change"' in log
    assert "two brands know it" in log


def test_a_training_with_a_roster_is_refused_while_one_site_has_not_approved(
    small_federation: SmallFederation,
) -> None:
    members = Members(small_federation.settings)
    for brand in BRANDS:
        members.create_identity(brand)
        members.add(brand, members.identity(brand).public_key)
    members.approve("ant")
    with pytest.raises(SecureSumError, match="bee"):
        train(small_federation)
    assert set(small_federation.requests().values()) == {"pending"}
    members.approve("bee")
    assert train(small_federation).result.protection.secure
