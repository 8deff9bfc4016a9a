"""What a brand may report of its features, and what that tells of a federation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fed_audience.federation.messages.members import FeatureReport
from fed_audience.jobs.feature_checks import kind_of
from fed_audience.jobs.feature_report import keep_baseline, one_digit, report_of, stability_index
from fed_audience.jobs.federation_status import SiteStatus, feature_findings
from fed_audience.warehouse.control import waiting_request
from tests.federation.agreed import contract
from tests.jobs.small_federation import NOW, SmallFederation

EVERYTHING = ("rows", "schema", "summaries")


@given(st.lists(st.floats(0.01, 1.0), min_size=2, max_size=10))
def test_equal_distributions_have_not_moved_and_no_index_is_negative(shares: list[float]) -> None:
    assert stability_index(shares, shares) == 0.0
    assert stability_index(shares, list(reversed(shares))) >= 0.0


def test_an_empty_part_counts_as_one_row_in_ten_thousand() -> None:
    assert stability_index([0.5, 0.5], [1.0, 0.0]) == pytest.approx(4.604, abs=0.001)


@pytest.mark.parametrize(
    ("value", "digit"), [(0.0, 0.0), (1234.0, 1000.0), (-0.0367, -0.04), (9.6, 10.0)]
)
def test_a_median_is_told_to_one_digit(value: float, digit: float) -> None:
    assert one_digit(value) == pytest.approx(digit)


def test_a_site_tells_no_more_than_its_contract_lets_it(
    small_federation: SmallFederation,
) -> None:
    site, baseline = small_federation.site("ant"), small_federation.folder / "baseline.json"
    told = {}
    for items in ((), ("schema",), EVERYTHING):
        agreed = contract(reports={"every_site": items})
        with site.open() as warehouse:
            request = waiting_request(warehouse, "repurchase", now=NOW)
            assert request is not None
            told[items] = report_of(site, warehouse, agreed, request, baseline)
    assert told[()] == ({}, None)
    features, rows = told["schema",]
    assert (rows, features["f_spend"]) == (None, FeatureReport(type="number"))
    features, rows = told[EVERYTHING]
    assert rows is not None
    assert (features["f_spend"].filled, features["f_channel"].type) == (1.0, "category")
    assert features["f_spend"].middle in {40.0, 50.0, 60.0}
    assert features["f_spend"].moved is None


def test_a_feature_that_moved_since_the_last_training_is_noticed(
    small_federation: SmallFederation,
) -> None:
    site, baseline = small_federation.site("ant"), small_federation.folder / "baseline.json"
    agreed = contract(reports={"every_site": EVERYTHING})
    moved = []
    for change in ("f_spend", "f_spend + 1", "f_spend * 3"):
        small_federation.execute("ant", f"update fed_training_repurchase set f_spend = {change}")
        with site.open() as warehouse:
            request = waiting_request(warehouse, "repurchase", now=NOW)
            assert request is not None
            if not baseline.exists():
                rows = warehouse.query("select * from fed_training_repurchase")
                keep_baseline(rows, agreed.models[0], baseline)
            features, _ = report_of(site, warehouse, agreed, request, baseline)
        moved.append(features["f_spend"].moved)
    assert moved[0] == 0.0
    assert moved[1] is not None
    assert moved[1] < 0.1
    assert moved[2] is not None
    assert moved[2] > 0.25
    site_status = SiteStatus(
        site="ant", connected=True, signed=True, features={"repurchase": features}
    )
    assert any("f_spend has moved" in line for line in feature_findings(agreed, [site_status]))


def test_what_brands_tell_is_compared() -> None:
    def told(site: str, spend: FeatureReport, channel: FeatureReport) -> SiteStatus:
        features = {"repurchase": {"f_spend": spend, "f_channel": channel}}
        return SiteStatus(site=site, connected=True, signed=True, features=features)

    number, category = FeatureReport(type="number", middle=40.0), FeatureReport(type="category")
    cents = FeatureReport(type="number", middle=5000.0)
    found = feature_findings(
        contract(),
        [
            told("ant", number, category),
            told("bee", cents, FeatureReport(type=None)),
            told("cat", number, FeatureReport(type="number", filled=0.0)),
            SiteStatus(site="dog", connected=True, signed=True, refused={"repurchase": "unit"}),
        ],
    )
    assert found == [
        "dog: repurchase: unit",
        "bee: repurchase.f_channel is missing",
        "cat: repurchase.f_channel is a number, the contract says category",
        "cat: repurchase.f_channel is empty",
        "bee: repurchase.f_spend is around 5000, at ant around 40: is it the same unit?",
    ]


@pytest.mark.parametrize(
    ("engine", "kind"),
    [("VARCHAR", "category"), ("character varying", "category"), ("text", "category"),
     ("DOUBLE", "number"), ("BIGINT", "number"), ("DECIMAL(18,2)", "number"),
     ("BOOLEAN", "number")],
)  # fmt: skip
def test_the_type_of_a_column_decides_its_kind(engine: str, kind: str) -> None:
    assert kind_of(engine) == kind
