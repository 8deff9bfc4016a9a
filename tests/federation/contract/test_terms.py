"""The contract: its canonical bytes, who signed it, and where a run departs from it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from fed_audience.errors import ConfigError, ContractError, FederationError
from fed_audience.federation import ArrowSource, InProcessTransport, SiteProgram, train
from fed_audience.federation.contract.checks import first_difference, require_signed
from fed_audience.federation.contract.signing import SignedContract
from fed_audience.federation.contract.terms import Contract, ModelDeclaration
from fed_audience.federation.manifest import Manifest
from fed_audience.federation.private.public_values import PublicValues
from fed_audience.federation.private.recipe import by_the_recipe
from fed_audience.gbdt.bins import Feature
from fed_audience.gbdt.parameters import TrainingParameters
from fed_audience.privacy.dp.plan import PrivacyTerms
from fed_audience.privacy.identity import SiteIdentity
from tests.federation.agreed import PARAMETERS, SITES, contract, identities, manifest


def test_equal_contracts_have_equal_bytes_whatever_the_order_of_their_keys() -> None:
    one = contract(identities())
    document = json.loads(one.to_json())
    turned = json.dumps(dict(reversed(document.items())))
    assert Contract.from_json(turned).text == one.text
    assert one.text.startswith(b"fed-audience/v1/contract\0{")
    assert Contract.from_json(one.to_json()).sha256 == one.sha256


@pytest.mark.parametrize(
    "change",
    [
        {"minimum_rows": 11},
        {"purposes": ("train", "share_model")},
        {"destinations": ("crm",)},
        {"reports": {"every_site": ("rows",)}},
        {"model": {"label": {"definition": "buys twice", "horizon_days": 90}}},
        {"model": {"label": {"definition": "buys again", "horizon_days": 60}}},
        {"model": {"quorum": 3}},
        {"privacy": {"overrides": ["small_change"]}},
    ],
)
def test_whatever_is_changed_changes_the_hash(change: dict[str, Any]) -> None:
    keys = identities()
    assert contract(keys, **change).sha256 != contract(keys).sha256


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"minimum_site": 3}, "unknown key 'minimum_site' .*did you mean 'minimum_sites'"),
        ({"minimum_sites": 4}, "has 3 sites, below minimum_sites 4"),
        ({"model": {"sites": ("ant", "bee", "emu")}}, "sites without a key: emu"),
        ({"model": {"bounds": {"n_estimator": (1, 2)}}}, "did you mean 'n_estimators'"),
        ({"model": {"bounds": {"max_depth": (5, 2)}}}, "begin at 5, above their end 2"),
        ({"model": {"entity": "f_spend"}}, "f_spend has a role of its own"),
    ],
)
def test_a_contract_that_makes_no_sense_is_refused(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        contract(**document)


@pytest.mark.parametrize(
    ("feature", "words"),
    [
        ({"name": "f", "definition": "x", "type": "category", "unit": "EUR"}, "no unit"),
        ({"name": "f", "definition": "x", "vocabulary": ["a"]}, "no vocabulary"),
        ({"name": "f", "definition": "x", "currency": "euro"}, "currency"),
        ({"name": "f", "definition": "x", "unti": "s"}, "did you mean 'unit'"),
    ],
)
def test_a_feature_that_makes_no_sense_is_refused(feature: dict[str, Any], words: str) -> None:
    label = {"definition": "buys again", "horizon_days": 90}
    with pytest.raises(ConfigError, match=words):
        ModelDeclaration.parse({"label": label, "features": [feature]}, source="a test")


def test_all_sites_sign_and_a_file_keeps_their_signatures() -> None:
    keys = identities()
    signed = SignedContract(contract(keys))
    assert signed.unsigned == SITES
    for site in SITES[:2]:
        signed = signed.signed(keys[site])
    with pytest.raises(ContractError, match="has not signed the contract; value: cat"):
        signed.require(SITES)
    signed = signed.signed(keys["cat"])
    again = SignedContract.from_json(signed.to_json(), source="file")
    again.require(SITES)
    assert again.unsigned == ()


def test_a_signature_of_another_text_or_another_key_is_none() -> None:
    keys = identities()
    signed = SignedContract(contract(keys)).signed(keys["ant"])
    other = SignedContract(contract(keys, minimum_rows=5), signed.signatures)
    with pytest.raises(ContractError, match="is not the site's; value: ant"):
        other.require(["ant"])
    with pytest.raises(ContractError, match="does not hold this site's key"):
        signed.signed(SiteIdentity.generate("bee"))
    with pytest.raises(ContractError, match="is not the site's; value: bee"):
        signed.with_signature("bee", bytes(64))


def test_a_file_that_was_edited_is_refused() -> None:
    text = SignedContract(contract()).to_json()
    with pytest.raises(ContractError, match="was changed after it was written"):
        SignedContract.from_json(text.replace("buys again", "buys twice"), source="file")
    for broken in ("", "[]", "{}", text.replace('"version": 1', '"version": 2')):
        with pytest.raises(ContractError, match="cannot be read"):
            SignedContract.from_json(broken, source="file")


def test_what_was_signed_passes_and_parameters_move_within_their_bounds() -> None:
    agreed = contract()
    require_signed(agreed, manifest())
    require_signed(agreed, manifest(parameters=replace(PARAMETERS, n_estimators=50)))


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"model_name": "premium"}, "model"),
        ({"task": "lookalike"}, "task"),
        ({"label": "bought"}, "label"),
        ({"row_key": "person"}, "row_key"),
        ({"group_key": "household"}, "group_key"),
        ({"features": (Feature("f_channel", categorical=True),)}, "features.f_spend"),
        ({"features": (Feature("f_channel"), Feature("f_spend"))}, "features.f_channel"),
        ({"features": (Feature("f_spend"), Feature("f_channel", categorical=True))}, "features"),
        ({"sites": (*SITES, "dog")}, "sites"),
        ({"sites": SITES[:2], "overrides": ("two_sites",)}, "minimum_sites"),
        ({"secure": False}, "privacy.secure"),
        ({"overrides": ("small_change",)}, "privacy.overrides"),
        ({"weight": "f_weight"}, "weight"),
        ({"max_weight": 2.0}, "max_weight"),
        ({"brand": "b", "brand_weights": (("ant", 2.0),)}, "site_weights"),
        ({"parameters": replace(PARAMETERS, n_estimators=51)}, "parameters.n_estimators"),
        ({"parameters": replace(PARAMETERS, learning_rate=0.2)}, "parameters.learning_rate"),
        ({"parameters": replace(PARAMETERS, seed=1)}, "parameters.seed"),
    ],
)
def test_the_first_difference_of_a_run_is_named(changes: dict[str, Any], place: str) -> None:
    found = first_difference(contract(), manifest(**changes))
    assert found is not None
    assert found.place == place
    with pytest.raises(ContractError, match=f"differs from the signed contract in {place}"):
        require_signed(contract(), manifest(**changes))


def test_a_private_run_spends_no_more_than_was_signed() -> None:
    agreed = contract(privacy={"epsilon": 1.0, "delta": 1e-6})
    plain = first_difference(agreed, manifest())
    assert plain is not None
    assert (plain.place, plain.asked) == ("privacy.epsilon", "a run without noise")
    assert _spending(agreed, 2.0, 1e-6) == "privacy.epsilon"
    assert _spending(agreed, 1.0, 1e-5) == "privacy.delta"
    assert _spending(contract(), 1.0, 1e-6) == "privacy.epsilon"
    assert _spending(agreed, 1.0, 1e-6) is None


def _spending(agreed: Contract, epsilon: float, delta: float) -> str | None:
    found = first_difference(agreed, noisy(by_the_recipe(PARAMETERS, epsilon, 2), epsilon, delta))
    return None if found is None else found.place


def noisy(parameters: TrainingParameters, epsilon: float = 1.0, delta: float = 1e-6) -> Manifest:
    return manifest(
        allow_missing_features=False,
        privacy=PrivacyTerms(epsilon, delta),
        public=(PublicValues("f_channel", categories=("a",)), PublicValues("f_spend", 0, 9)),
        parameters=parameters,
    )


def test_a_private_run_follows_the_recipe_and_what_was_signed_beside_it() -> None:
    agreed = contract(
        privacy={"epsilon": 1.0, "delta": 1e-6}, model={"bounds": {"learning_rate": (0.1, 0.2)}}
    )
    recipe = by_the_recipe(PARAMETERS, 1.0, 2)
    assert first_difference(agreed, noisy(recipe)) is None
    assert first_difference(agreed, noisy(by_the_recipe(PARAMETERS, 1.0, 2, passes=5))) is None
    for change in ({"learning_rate": 0.1}, {"n_estimators": 7}, {"row_cap": 2**20}):
        found = first_difference(agreed, noisy(replace(recipe, **change)))
        assert found is not None
        assert found.place == f"parameters.{next(iter(change))}"


def test_a_site_refuses_a_run_that_it_did_not_sign_and_says_where() -> None:
    agreed = contract(model={"missing_features": "refuse"})
    rows = pa.table({"customer_id": ["a"], "f_channel": ["x"], "f_spend": [1.0], "label": [1]})
    programs = {
        site: SiteProgram(
            site, ArrowSource(rows), b"key", contract=agreed if site == "bee" else None
        )
        for site in SITES
    }
    with pytest.raises(
        FederationError, match=r"site bee refused \(other_contract\): .* missing_features"
    ):
        train(InProcessTransport(programs), manifest())


def test_a_member_without_a_budget_book_takes_no_part_in_a_private_run() -> None:
    """Without one nobody would know what its rows have spent."""
    agreed = contract(privacy={"epsilon": 1.0, "delta": 1e-6})
    rows = pa.table({"customer_id": ["a"], "f_channel": ["x"], "f_spend": [1.0], "label": [1]})
    sites = {s: SiteProgram(s, ArrowSource(rows), b"key", contract=agreed) for s in SITES}
    with pytest.raises(FederationError, match=r"refused \(over_budget\)"):
        train(InProcessTransport(sites), noisy(by_the_recipe(PARAMETERS, 1.0, 2)))


def test_what_a_site_may_report_is_its_own_list_or_that_of_every_site() -> None:
    agreed = contract(reports={"every_site": ("software",), "bee": ()})
    assert agreed.may_report("ant", "software")
    assert not agreed.may_report("ant", "rows")
    assert not agreed.may_report("bee", "software")
