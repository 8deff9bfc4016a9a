"""`fed-audience federation init`, `invite`, `revoke` and `site join`, up to the network."""

from __future__ import annotations

from pathlib import Path

import pytest

from fed_audience import cli
from fed_audience.federation.contract.joining import Invitation
from fed_audience.federation.contract.signing import SignedContract
from fed_audience.federation.messages.members import FeatureReport
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.federation_status import FederationStatus, SiteStatus, write_status
from fed_audience.jobs.settings import load_federation
from tests.cli.conftest import Fail
from tests.cli.test_membership import said
from tests.federation.agreed import contract
from tests.jobs.small_federation import NOW


@pytest.fixture
def config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "operator" / "federation.yml"
    made = said(capsys, "federation", "init", "three", "--config", path)
    assert "DEVELOPMENT AUTHORITY" in made
    return path


def test_an_operator_founds_invites_and_revokes(
    config: Path, tmp_path: Path, fail: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ant.invitation"
    told = said(capsys, "federation", "invite", "ant", "--out", out, "--config", config)
    assert "good once" in told
    invitation = Invitation.from_text(out.read_text())
    assert invitation.token not in told
    assert (invitation.site, invitation.address) == ("ant", "localhost:7443")
    code, why = fail("federation", "revoke", "ant", "--config", config)
    assert (code, "no such site in the roster" in why) == (3, True), why
    code, why = fail("federation", "init", "three", "--config", config)
    assert (code, "there are certificates already" in why) == (3, True), why
    code, why = fail("federation", "status", "--config", config)
    assert (code, "no coordinator has run" in why) == (8, True), why


def test_an_invitation_comes_from_one_place_and_never_from_the_command_line(
    config: Path, tmp_path: Path, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = ("--config", tmp_path / "ant" / "federation.yml")
    for arguments, words in (
        ((), "from one place"),
        (("--token", "env", "--token-file", "x"), "from one place"),
        (("--token", "fa-invitation-1.secret"), "not given on the command line"),
        (("--token", "env"), "no invitation in the environment"),
        (("--token-file", tmp_path / "none"), "cannot be read"),
    ):
        code, why = fail("site", "join", *arguments, *site)
        assert (code, words in why) == (2, True), why
        assert "fa-invitation-1.secret" not in why
    monkeypatch.setenv("FED_AUDIENCE_INVITATION", "nonsense")
    code, why = fail("site", "join", "--token", "env", *site)
    assert (code, "that is no invitation" in why) == (8, True), why


def test_what_is_for_the_other_side_says_so(config: Path, fail: Fail, tmp_path: Path) -> None:
    code, why = fail("agent", "--config", config)
    assert code == 3, why
    ours = tmp_path / "ant.yml"
    ours.write_text("name: three\nsites: [{name: ant, project: x}]\nagent: {coordinator: 'h:1'}\n")
    code, why = fail("coordinator", "--config", ours)
    assert (code, "not a coordinator's" in why) == (3, True), why
    code, why = fail("federation", "invite", "bee", "--config", ours)
    assert (code, "operator's federation.yml" in why) == (2, True), why


def test_status_and_features_say_what_the_coordinator_knew_last(
    config: Path, fail: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_federation(config)
    assert settings.coordinator is not None
    agreed = contract(federation="three")
    Contracts(settings).keep(SignedContract(agreed))
    report = {"repurchase": {"f_spend": FeatureReport(type=None)}}
    status = FederationStatus(
        federation="three",
        at=NOW,
        contract_sha256=agreed.sha256,
        trouble="",
        sites=(SiteStatus(site="ant", connected=True, signed=False, features=report),),
        waits={"repurchase": {"bee": "has no training queued"}},
        run=None,
        trees=(0, 0),
        runs=(),
    )
    write_status(status, settings.coordinator.folder / "status.json")
    shown = said(capsys, "federation", "status", "--config", config)
    assert "ant  connected, NOT SIGNED, never seen" in shown
    assert "model repurchase waits: bee has no training queued" in shown
    as_json = said(capsys, "federation", "status", "--json", "--config", config)
    assert FederationStatus.model_validate_json(as_json) == status
    with pytest.raises(SystemExit) as left:
        cli.main(["federation", "features", "--config", str(config)])
    printed = capsys.readouterr()
    assert left.value.code == 16
    assert "ant: repurchase.f_spend is missing" in printed.out
    assert "1 findings" in printed.err
    code, why = fail("federation", "cancel", "none", "--config", config)
    assert (code, "no such run is under way" in why) == (2, True), why
