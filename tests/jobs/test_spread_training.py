"""A brand whose agent lets workers hold the rows: same model, same books, refusals by name."""

from __future__ import annotations

import json
import pickle
import sys
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest
import yaml

from fed_audience.errors import ConfigError
from fed_audience.federation import Manifest
from fed_audience.jobs.link_settings import SpreadSettings
from fed_audience.jobs.settings import load_federation
from fed_audience.jobs.sites import Site
from fed_audience.jobs.spread_training import WarehouseShare, require_spreadable
from fed_audience.warehouse.control import claim_request
from fed_audience.warehouse.key_buckets import BUCKETS, buckets_of, in_buckets
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Warehouse
from tests.federation.example import manifest
from tests.federation.private.example import private_manifest
from tests.jobs.small_federation import NOW, SmallFederation
from tests.jobs.three_organisations import SITES, Organisations

TWO = SpreadSettings(engine="ray", workers=2, address="local")


def spread(organisations: Organisations, site: str, **agent: object) -> None:
    """Let the agent of ``site`` spread its rows over two workers."""
    path = organisations.folder / site / "federation.yml"
    document = yaml.safe_load(path.read_text())
    document["agent"] |= {"rows": TWO.model_dump(), **agent}
    path.write_text(yaml.safe_dump(document))


@pytest.mark.xdist_group("ray")
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_workers_read_their_shares_themselves_and_the_model_is_the_same(
    signed: Organisations, ray_cluster: None, undisturbed_model: str
) -> None:
    spread(signed, "bee", score=True)
    record = signed.coordinator().step()
    assert record is not None
    assert (record.stage, record.model_sha256) == ("settled", undisturbed_model)
    told = "select rows_used, rows_withdrawn, rows_requested from fed_audience.training_runs"
    with signed.site("bee").open() as warehouse:
        assert warehouse.query(told).to_pylist() == [
            {"rows_used": 295, "rows_withdrawn": 5, "rows_requested": 300}
        ]
    assert signed.value("bee", "select count(*) from fed_audience.scores") == 300
    agent = signed.folder / "bee" / "agent"
    kept = json.loads((agent / "repurchase.baseline.json").read_text())
    assert kept.keys() == {"f_spend", "f_visits"}

    # The agent has not seen the features, so it never says that they are those of before.
    for site in SITES:
        signed.execute(site, "update main.fed_training_repurchase set _fed_build_id = 'build2'")
        signed.execute(
            site,
            "update fed_audience.training_requests set status = 'pending', build_id = 'build2',"
            " claimed_by = null, claimed_at = null",
        )
    signed.execute("bee", "update main.fed_training_repurchase set f_spend = 500 - f_spend")
    again = signed.coordinator().step()
    assert again is not None
    assert again.outcome is not None
    assert again.outcome.status == "succeeded"
    assert again.model_sha256 != undisturbed_model


def shares(site: Site, agreed: Manifest, count: int) -> list[WarehouseShare]:
    with site.open() as warehouse:
        request = claim_request(warehouse, claimed_by="a test", now=NOW, model_name="repurchase")
    assert request is not None
    return [
        WarehouseShare(site, request, agreed, 0.2, timedelta(0), buckets_of(share, count))
        for share in range(count)
    ]


@pytest.mark.parametrize("engine", ["duckdb", "postgres"])
def test_every_consented_row_is_in_one_share(engine: str, request: pytest.FixtureRequest) -> None:
    name = "small_federation" if engine == "duckdb" else "small_postgres_federation"
    federation: SmallFederation = request.getfixturevalue(name)
    site = federation.site("ant")
    site = replace(site, keys=site.person_keys)
    agreed = manifest(("ant",), label_sites=("ant",), row_key="customer_id", brand="brand")
    parts = shares(site, agreed, 3)
    read = [one.read() for one in parts]
    customers = pa.concat_tables([one.table for one in read])["customer_id"]
    assert sorted(map(str, customers.to_pylist())) == [f"ant{number:03}" for number in range(295)]
    assert sum(one.withdrawn for one in read) == 5
    assert all(60 < one.table.num_rows < 140 for one in read)
    for one, whole in zip(parts, read, strict=True):
        training = one.as_table()
        held_out = whole.table.num_rows - training.num_rows
        assert 0 < held_out < whole.table.num_rows / 2
        assert set(training["_fed_brand"].to_pylist()) == {"ant"}


def test_a_share_travels_with_its_keys_and_shows_no_secret(
    small_federation: SmallFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = small_federation.site("ant")
    own = site.person_keys
    assert own is not None
    carried = pickle.loads(pickle.dumps(replace(site, keys=own)))  # noqa: S301 - our own, a line ago
    monkeypatch.delenv("FED_AUDIENCE_STATE_KEY")
    assert site.person_keys is None
    assert carried.person_keys.of("ant001") == own.of("ant001")
    assert "keys" not in repr(carried)


def test_buckets_deal_every_key_once(empty_warehouse: Warehouse) -> None:
    empty_warehouse.execute("create table main.keys (k integer)")
    empty_warehouse.execute("insert into main.keys values (1), (2), (30), (null)")
    counted = [
        empty_warehouse.query(
            f"select count(*) as n from main.keys where {in_buckets('k', buckets_of(share, 5))}"
        )["n"][0].as_py()
        for share in range(5)
    ]
    assert sum(counted) == 4
    digest = "c4ca4238a0b923820dcc509a6f75849b"  # MD5 of "1"
    one = in_buckets("k", [int(digest[:2], 16)])
    found = empty_warehouse.query(f"select k from main.keys where {one}")["k"].to_pylist()
    assert found == [1]
    assert sorted(b for share in range(5) for b in buckets_of(share, 5)) == list(range(BUCKETS))


def test_noise_and_a_warehouse_that_workers_cannot_read_are_refused(
    organisations: Organisations,
) -> None:
    site = organisations.site("ant")
    require_spreadable(site, TWO, manifest(("ant",)))
    with pytest.raises(ConfigError, match="a run with noise needs all rows in one process"):
        require_spreadable(site, TWO, private_manifest(("ant",)))
    elsewhere = replace(site, profile=Profile(type="snowflake"))
    with pytest.raises(ConfigError, match=r"value: snowflake; allowed: duckdb, postgres"):
        require_spreadable(elsewhere, TWO)


def test_trees_of_ones_own_and_workers_exclude_each_other(organisations: Organisations) -> None:
    spread(organisations, "ant", continuation=True)
    with pytest.raises(ConfigError, match="continuation: trees of a brand's own grow in one"):
        load_federation(organisations.folder / "ant" / "federation.yml")


def test_without_ray_an_agent_says_so_when_it_starts(
    organisations: Organisations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'fed-audience\[ray\]'"):
        require_spreadable(organisations.site("ant"), TWO)


def test_a_run_with_noise_is_declined_before_it_starts(organisations: Organisations) -> None:
    spread(organisations, "bee")
    path = organisations.folder / "operator" / "federation.yml"
    document = yaml.safe_load(path.read_text())
    privacy = {"epsilon": 2.0, "delta": 1e-4}
    document["models"][0]["privacy"] = document["contract"]["privacy"] = privacy
    document["public_values"] = {
        "f_spend": {"low": 0, "high": 300},
        "f_visits": {"low": 0, "high": 20},
    }
    path.write_text(yaml.safe_dump(document))
    organisations.sign_all()
    program = organisations.coordinator()
    assert program.step() is None
    (declined,) = program.book.runs()
    assert declined.outcome is not None
    assert "bee: a run with noise needs all rows in one process" in declined.outcome.why
    assert set(organisations.requests().values()) == {"pending"}
