"""Three brands and an operator, each with a folder of its own: joined, and linked in memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from fed_audience.federation.contract.member_link import LinkInProcess
from fed_audience.jobs.agent_desk import AgentDesk
from fed_audience.jobs.agent_run import Station
from fed_audience.jobs.contracts import Contracts
from fed_audience.jobs.coordinator_program import CoordinatorProgram
from fed_audience.jobs.members import Members
from fed_audience.jobs.settings import FederationSettings, load_federation
from fed_audience.jobs.sites import Site, site_of
from fed_audience.warehouse.engines import open_warehouse
from fed_audience.warehouse.profiles import Profile
from fed_audience.warehouse.protocol import Warehouse
from tests.jobs.small_federation import NOW, fill
from tests.warehouse.conftest import with_control_tables

SITES = ("ant", "bee", "cat")
KEY = b"a category key that nobody else knows"
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
PROFILE = "brand:\n  target: dev\n  outputs:\n    dev: {type: duckdb, path: brand.duckdb}\n"
OPERATOR = """\
name: three
minimum_rows: 50
coordinator: {deadline_seconds: 60, metrics: null}
contract:
  minimum_sites: 3
  reports: {every_site: [software, rows, schema, summaries, reasons]}
models:
  - name: repurchase
    parameters: {n_estimators: 3, max_depth: 2}
    terms:
      label: {definition: buys again, horizon_days: 90}
      features:
        - {name: f_spend, definition: spend of 90 days, unit: money, currency: EUR}
        - {name: f_visits, definition: visits of 90 days, unit: visits}
        - {name: f_channel, definition: first channel, type: category, vocabulary: [email, paid]}
"""
AGENT = """\
name: three
max_consent_age_hours: 720
sites: [{{name: {site}, project: project}}]
agent: {{coordinator: 'localhost:1', metrics: null, score: false}}
"""


@dataclass
class Organisations:
    """Folders `operator`, `ant`, `bee`, `cat`, and desks that are linked within this process."""

    folder: Path
    desks: dict[str, AgentDesk] = field(default_factory=dict)
    now: datetime = NOW

    def __post_init__(self) -> None:
        self.link = LinkInProcess({})

    @property
    def operator(self) -> FederationSettings:
        return load_federation(self.folder / "operator" / "federation.yml")

    def settings(self, site: str) -> FederationSettings:
        return load_federation(self.folder / site / "federation.yml")

    def site(self, site: str) -> Site:
        return site_of(self.settings(site).sites[0])

    def station(self, site: str) -> Station:
        agent = self.settings(site).agent
        assert agent is not None
        return Station(
            config=self.folder / site / "federation.yml",
            site=self.site(site),
            category_key=KEY,
            folder=agent.folder,
            clock=lambda: self.now,
        )

    def start(self, site: str) -> AgentDesk:
        """Start the agent of ``site``, which may have been running before."""
        desk = self.desks[site] = AgentDesk(self.station(site))
        desk.recover()
        self.link.connect(site, desk)
        return desk

    def stop(self, site: str) -> None:
        self.link.cut(site)
        self.desks.pop(site).close()

    def coordinator(self) -> CoordinatorProgram:
        settings = self.operator
        assert settings.coordinator is not None
        return CoordinatorProgram(settings, settings.coordinator, self.link, lambda: self.now)

    def execute(self, site: str, sql: str) -> int:
        with self.site(site).open() as warehouse:
            return warehouse.execute(sql)

    def value(self, site: str, sql: str) -> object:
        with self.site(site).open() as warehouse:
            found: object = warehouse.query(sql).column(0)[0].as_py()
            return found

    def requests(self) -> dict[str, object]:
        sql = "select status from fed_audience.training_requests"
        return {site: self.value(site, sql) for site in SITES}

    def models(self) -> dict[str, object]:
        sql = "select max(model_sha256) from fed_audience.model_registry"
        return {site: self.value(site, sql) for site in SITES}

    def edit(self, who: str, old: str, new: str) -> None:
        path = self.folder / who / "federation.yml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def sign_all(self) -> None:
        """Show everybody the contract, let everybody sign, and gather the signatures."""
        program = self.coordinator()
        program.step()
        for site in SITES:
            Contracts(self.settings(site)).sign(site)
        program._greetings.send(program._contracts.publish())


def prepare(warehouse: Warehouse, site: str, number: int) -> None:
    """Create what a build of dbt leaves in a brand's warehouse, a queued training among it."""
    fill(with_control_tables(warehouse), site, number)
    warehouse.execute(
        "update fed_audience.training_requests"
        """ set spec = replace(spec, '["ant", "bee"]', '["ant", "bee", "cat"]')"""
    )


@pytest.fixture(scope="session")
def organisations_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("organisations")
    for number, site in enumerate(SITES):
        project = folder / site / "project"
        project.mkdir(parents=True)
        (folder / site / "federation.yml").write_text(AGENT.format(site=site))
        (project / "dbt_project.yml").write_text("name: brand\nprofile: brand\n")
        (project / "profiles.yml").write_text(PROFILE)
        prepare(open_warehouse(Profile(path=project / "brand.duckdb"), create=True), site, number)
    (folder / "operator").mkdir()
    (folder / "operator" / "federation.yml").write_text(OPERATOR)
    operator = Members(load_federation(folder / "operator" / "federation.yml"))
    for site in SITES:
        own = Members(load_federation(folder / site / "federation.yml"))
        operator.add(site, own.create_identity(site).public_key)
    return folder


@pytest.fixture(scope="session")
def signed_template(organisations_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same folders after everybody has seen the contract and signed it."""
    found = Organisations(tmp_path_factory.mktemp("signed") / "organisations")
    shutil.copytree(organisations_template, found.folder)
    with standing(found):
        found.sign_all()
    return found.folder


@pytest.fixture(scope="session")
def undisturbed_model(signed_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Hash of the model that comes of `signed` where nothing happens on the way."""
    found = Organisations(tmp_path_factory.mktemp("undisturbed") / "organisations")
    shutil.copytree(signed_template, found.folder)
    with standing(found):
        record = found.coordinator().step()
    assert record is not None
    assert record.stage == "settled"
    assert record.model_sha256 is not None
    return record.model_sha256


@contextmanager
def standing(found: Organisations) -> Iterator[Organisations]:
    """Start the agents; those that stand at the end are stopped."""
    for site in SITES:
        found.start(site)
    yield found
    for desk in found.desks.values():
        desk.close()


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: how long a disk takes is not what is told here."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(prefix="fed-audience-", dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def organisations(organisations_template: Path, quick_folder: Path) -> Iterator[Organisations]:
    """Joined, linked and running; nobody has seen the contract yet."""
    found = Organisations(quick_folder / "organisations")
    shutil.copytree(organisations_template, found.folder)
    with standing(found):
        yield found


@pytest.fixture
def signed(signed_template: Path, quick_folder: Path) -> Iterator[Organisations]:
    """The same, and everybody has signed."""
    found = Organisations(quick_folder / "organisations")
    shutil.copytree(signed_template, found.folder)
    with standing(found):
        yield found
