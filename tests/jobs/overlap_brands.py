"""Two organisations with a folder, keys and a warehouse each, who know of each other only keys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import SecretStr

from fed_audience.jobs.overlap import OverlapSide
from fed_audience.jobs.settings import FederationSettings, load_federation
from fed_audience.jobs.sites import site_of
from fed_audience.warehouse.control import control
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from tests.jobs.small_federation import create
from tests.warehouse.conftest import with_control_tables

NOW = datetime(2026, 6, 1)  # noqa: DTZ001 - naive and UTC, as everywhere
AS_OF = f"{NOW:%Y-%m-%dT%H:%M}"
SALT = SecretStr("a salt that the two brands share")
PEOPLE = {"fashion": range(1_250), "grocery": range(600, 1_900)}
"""Who is a customer; every tenth of them does not let a partner compare."""

COMMON = sum(number % 10 != 0 for number in range(600, 1_250))
MEMBERS = range(1_120)
"""Who is in fashion's audience, by number."""

PROGRAM = Path(sys.executable).with_name("fed-audience")
CONFIGURATION = """\
name: pair
sites:
  - {{name: {brand}, project: project}}
models:
  - name: repurchase
audiences:
  - {{name: top, model: repurchase, channel: email, share: 0.2}}
overlap: {{purpose: share_partner}}
"""


@dataclass(frozen=True)
class Organisation:
    """One brand and its folder."""

    brand: str
    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "federation.yml"

    @property
    def settings(self) -> FederationSettings:
        return load_federation(self.config)

    @property
    def side(self) -> OverlapSide:
        return OverlapSide(self.settings, as_of=NOW, now=NOW)

    @property
    def pinned(self) -> Path:
        return self.folder / "audit" / "keys" / "trusted.keys"

    def execute(self, sql: str) -> int:
        with site_of(self.settings.sites[0]).open() as warehouse:
            return warehouse.execute(sql)

    def edit(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def command(self, *arguments: object, salt: SecretStr = SALT) -> dict[str, object]:
        """Run one step as a process of this organisation; return what it printed as JSON."""
        done = subprocess.run(
            [PROGRAM, "overlap", *map(str, arguments), "--json"],
            cwd=self.folder,
            env={**os.environ, "FED_AUDIENCE_OVERLAP_SALT": salt.get_secret_value()},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found


@dataclass(frozen=True)
class Pair:
    fashion: Organisation
    grocery: Organisation


def email(number: int) -> str:
    return f"person{number}@mail.example"


def written(number: int) -> str:
    """The same address as people write it."""
    plain = email(number)
    return (plain, plain.upper(), f"  {plain} ")[number % 3]


@pytest.fixture(scope="session")
def pair_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    for brand in PEOPLE:
        project = folder / brand / "project"
        project.mkdir(parents=True)
        (folder / brand / "federation.yml").write_text(CONFIGURATION.format(brand=brand))
        (project / "dbt_project.yml").write_text("name: brand\nprofile: brand\n")
        (project / "profiles.yml").write_text(
            "brand:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: brand.duckdb}\n"
        )
        fill(project / "brand.duckdb", brand)
    return folder


@pytest.fixture
def pair(pair_template: Path, tmp_path: Path) -> Pair:
    """Each test has a copy of its own; the public keys were handed over."""
    shutil.copytree(pair_template, tmp_path / "pair")
    return introduced(tmp_path / "pair")


def introduced(folder: Path) -> Pair:
    """Hand over the public keys of the two organisations in ``folder``."""
    found = Pair(*(Organisation(brand, folder / brand) for brand in PEOPLE))
    for one, other in ((found.fashion, found.grocery), (found.grocery, found.fashion)):
        one.side.own_key(one.brand)
        with one.pinned.open("a") as file:
            file.write(f"{other.side.own_key(other.brand)}\n")
    return found


def fill(path: Path, brand: str) -> None:
    numbers = PEOPLE[brand]
    ids = [customer_id(brand, number) for number in numbers]
    warehouse = with_control_tables(open_warehouse(Profile(path=path), create=True))
    with warehouse.transaction():
        create(warehouse, "stg_cdp__customers", pa.table({"customer_id": ids}))
        warehouse.execute(
            "create table jurisdiction_rules as select * from (values"
            " ('EU', 'share_partner', 'opt_in', 730, false),"
            " ('EU', 'profile', 'opt_in', 730, false)"
            ") as rules (jurisdiction, purpose, default_mode, ttl_days, minor_unknown_is_minor)"
        )
        create(warehouse, "int_consent_ledger", ledger(brand))
        contacts = pa.table(
            {
                "customer_id": [*ids, *(f"{brand}-again-{at}" for at in range(9))],
                "email": [*map(written, numbers), *[written(numbers[1])] * 8, "nobody at all"],
                "phone": pa.array([f"0171 {number:07}" for number in numbers] + [None] * 9),
                "is_suppressed": [False] * (len(ids) + 9),
                "in_holdout": [False] * (len(ids) + 9),
            }
        )
        create(warehouse, "int_contact_details", contacts)
        members = [number for number in MEMBERS if number in numbers]
        warehouse.insert(
            control("audience_members"),
            pa.table(
                {
                    "audience": ["top"] * len(members),
                    "channel": ["email"] * len(members),
                    "customer_id": [customer_id(brand, number) for number in members],
                    "score": [0.5] * len(members),
                    "model_name": ["repurchase"] * len(members),
                    "model_version": ["v"] * len(members),
                    "selected_at": pa.array([NOW] * len(members), pa.timestamp("us")),
                }
            ),
        )
    warehouse.close()


def customer_id(brand: str, number: int) -> str:
    return f"{brand}-{sha256(str(number).encode()).hexdigest()[:12]}"


def ledger(brand: str) -> pa.Table:
    """Two hours before NOW all consent to `profile`, nine of ten to `share_partner`."""
    at = NOW - timedelta(hours=2)
    people = [customer_id(brand, number) for number in PEOPLE[brand]]
    people += [f"{brand}-again-{number}" for number in range(9)]
    refusing = {customer_id(brand, number) for number in PEOPLE[brand] if number % 10 == 0}
    rows = [
        (
            person,
            purpose,
            "denied" if purpose == "share_partner" and person in refusing else "granted",
        )
        for person in people
        for purpose in ("share_partner", "profile")
    ]
    ids, purposes, statuses = (list(part) for part in zip(*rows, strict=True))
    return pa.table(
        {
            "consent_event_id": [f"e{number}" for number in range(len(rows))],
            "member_id": [f"crm:{person}" for person in ids],
            "subject_id": ids,
            "purpose": purposes,
            "status": statuses,
            "jurisdiction": ["EU"] * len(rows),
            "effective_at": pa.array([at] * len(rows), pa.timestamp("us")),
            "recorded_at": pa.array([at] * len(rows), pa.timestamp("us")),
            "expires_at": pa.nulls(len(rows), pa.timestamp("us")),
            "time_trust": ["server"] * len(rows),
            "is_minor": [False] * len(rows),
            "legal_basis": ["consent"] * len(rows),
        }
    )
