"""The contract of a federation on disk: drawn up, signed, checked before each training."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from fed_audience.errors import ConfigError, ContractError
from fed_audience.jobs.audience import build_audience
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.members import Members
from fed_audience.jobs.score import score_model
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sync import plan_audience
from fed_audience.jobs.train import TrainedModel, train_model
from tests.jobs.small_federation import BRANDS, NOW, SmallFederation

TERMS = """\
    parameters: {n_estimators: 4, max_depth: 2}
    terms:
      label: {definition: buys again, horizon_days: 90}
      features:
        - {name: f_spend, definition: spend of 90 days, unit: euros, currency: EUR}
        - {name: f_channel, definition: first channel, type: category}
"""
CONTRACT = "contract: {minimum_sites: 2, privacy: {overrides: [two_sites]}}\n"


def agreed(federation: SmallFederation) -> SmallFederation:
    """Draw up a contract of both brands; nobody has signed it yet."""
    federation.edit("    parameters: {n_estimators: 4, max_depth: 2}\n", TERMS)
    federation.edit("name: small\n", f"name: small\n{CONTRACT}")
    members = Members(federation.settings)
    for brand in BRANDS:
        members.add(brand, members.create_identity(brand).public_key)
    return federation


def signed(federation: SmallFederation) -> SmallFederation:
    for brand in BRANDS:
        Contracts(federation.settings).sign(brand)
    return federation


def train(federation: SmallFederation) -> TrainedModel:
    settings = federation.settings
    return train_model(settings, settings.models[0], as_of=NOW, category_key=b"k" * 32)


def test_a_run_trains_on_the_features_that_were_signed(small_federation: SmallFederation) -> None:
    trained = train(signed(agreed(small_federation)))
    assert [one.name for one in trained.manifest.features] == ["f_channel", "f_spend"]


def test_nothing_starts_before_every_site_signed(small_federation: SmallFederation) -> None:
    agreed(small_federation)
    Contracts(small_federation.settings).sign("ant")
    with pytest.raises(ContractError, match="has not signed the contract; value: bee"):
        train(small_federation)
    assert small_federation.requests() == {"ant": "pending", "bee": "pending"}


def test_a_changed_contract_must_be_signed_anew(small_federation: SmallFederation) -> None:
    signed(agreed(small_federation))
    small_federation.edit("horizon_days: 90", "horizon_days: 60")
    words = "not the one that ant signed: models.repurchase.label.horizon_days was changed"
    with pytest.raises(ContractError, match=words):
        train(small_federation)
    assert Contracts(small_federation.settings).to_sign().unsigned == BRANDS
    assert small_federation.requests() == {"ant": "pending", "bee": "pending"}
    train(signed(small_federation))


def test_a_contract_replaced_behind_a_sites_back_is_noticed(
    small_federation: SmallFederation,
) -> None:
    signed(agreed(small_federation))
    contracts = Contracts(small_federation.settings)
    pinned = contracts.signed_by("ant")
    assert pinned is not None
    small_federation.edit("minimum_rows: 50", "minimum_rows: 10")
    again = Contracts(small_federation.settings)
    again.publish()
    assert again.signed_by("ant") == pinned
    with pytest.raises(ContractError, match="minimum_rows was changed"):
        again.require(["ant"])


def test_what_a_contract_needs_is_said(small_federation: SmallFederation) -> None:
    with pytest.raises(ConfigError, match="draws up no contract"):
        Contracts(small_federation.settings).drawn()
    with pytest.raises(ContractError, match="no contract to sign"):
        Contracts(small_federation.settings).sign("ant")
    small_federation.edit("name: small\n", f"name: small\n{CONTRACT}")
    with pytest.raises(ConfigError, match="no site is in the roster yet"):
        Contracts(small_federation.settings).drawn()
    members = Members(small_federation.settings)
    members.add("ant", members.create_identity("ant").public_key)
    with pytest.raises(ConfigError, match="model repurchase has no terms"):
        Contracts(small_federation.settings).drawn()


def test_a_site_that_joined_has_its_models_from_the_contract(
    small_federation: SmallFederation,
) -> None:
    signed(agreed(small_federation))
    ours = small_federation.folder / "ant.yml"
    link = "agent: {coordinator: 'localhost:8443'}\nsites:\n  - {name: ant, project: ant}\n"
    ours.write_text(f"name: small\n{link}")
    settings = load_federation(ours)
    model = settings.model("repurchase")
    operators = small_federation.settings.model("repurchase")
    assert model.training_parameters("propensity") == operators.training_parameters("propensity")
    assert settings.minimum_rows == 50
    assert [site.name for site in settings.sites_of(model.sites)] == ["ant"]
    assert Contracts(settings).require(["ant"]) == Contracts(small_federation.settings).drawn()
    ours.write_text(f"name: small\nmodels: [{{name: other}}]\n{link}")
    with pytest.raises(ConfigError, match="has its models from the contract"):
        load_federation(ours)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: x\n", "there are no sites"),
        ("name: x\nagent: {coordinator: 'h:1'}\ncoordinator: {}\n", "0 are named"),
        (
            "name: x\nagent: {coordinatr: 'h:1'}\nsites: [{name: a, project: a}]\n",
            "did you mean 'coordinator'",
        ),
        ("name: x\ncoordinator: {listen: nowhere}\n", "coordinator.listen"),
    ],
)
def test_a_file_of_no_use_is_refused(
    small_federation: SmallFederation, text: str, words: str
) -> None:
    path = small_federation.folder / "bad.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_federation(path)


def test_an_audience_goes_nowhere_that_was_not_signed(small_federation: SmallFederation) -> None:
    federation = signed(agreed(small_federation))
    train(federation)
    settings = federation.settings
    for _ in score_model(settings, settings.models[0], as_of=NOW, category_key=b"k" * 32):
        pass
    audience = settings.audience("top")

    def build() -> None:
        build_audience(federation.settings, audience, as_of=NOW, key=b"k")

    with pytest.raises(ContractError, match="ant signed does not allow this purpose; value: act"):
        build()
    allowed = CONTRACT.replace("{min", "{purposes: [train, share_model, 'activate:email'], min")
    federation.edit(CONTRACT, allowed)
    signed(federation)
    with pytest.raises(ContractError, match="does not allow this destination; value: files"):
        build()
    federation.edit(allowed, allowed.replace("{purposes", "{destinations: [files], purposes"))
    signed(federation)
    build()
    assert delivered(federation) == {"ant": 60, "bee": 60}
    federation.edit("{destinations: [files], purposes", "{purposes")
    signed(federation)
    assert delivered(federation) == {"ant": 0, "bee": 0}


def delivered(federation: SmallFederation) -> dict[str, int]:
    """Count whom a sync would send to the destination, at each brand."""
    settings = federation.settings
    plans = plan_audience(
        settings,
        settings.audience("top"),
        base=federation.folder,
        as_of=NOW,
        secret=SecretStr("a state key that nobody else knows"),
    )
    return {one.site: len(one.plan.upserts) for one in plans}
