"""Fixtures that every room may use."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

# Compilation and a busy machine make the first example slow; speed is not what is asserted.
# In CI the examples are the same every time, so that a change is judged and not chance; at a desk
# they differ, and what they find becomes a test.
settings.register_profile(
    "ours",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("ours")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fed_audience.warehouse.protocol import Warehouse
    from tests.end_to_end.finished_demo import FinishedDemo
    from tests.postgres_server import PostgresServer

REPOSITORY = Path(__file__).resolve().parent.parent
LONG = ("slow", "dbt", "browser")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with one at the end.

    xdist itself hands out the groups with the most tests first; all else goes in this order.
    """
    if hasattr(config, "workerinput"):
        long = {
            kind: {item.path for item in items if item.get_closest_marker(kind)} for kind in LONG
        }
        items.sort(key=lambda item: [item.path not in long[kind] for kind in LONG])


@pytest.fixture(autouse=True)
def _logging_left_as_found() -> Iterator[None]:
    """What a test attaches to the product's log would write into later tests' closed streams."""
    log = logging.getLogger("fed_audience")
    before = (log.handlers[:], log.level, log.propagate)
    yield
    assert (log.handlers, log.level, log.propagate) == before


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real data sets; the test that asks for it is skipped, visibly, without them."""
    folder = Path(os.environ.get("FED_AUDIENCE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data sets not found at {folder}; set FED_AUDIENCE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, started when the first test asks and gone with the last.

    Where there is none, the tests that ask for it are skipped, visibly.
    """
    from tests.postgres_server import NoServerError, running_server  # noqa: PLC0415 - only its tests pay

    try:
        with running_server() as server:
            yield server
    except NoServerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray cluster of two processors within this process, which every ``RayEngine`` here uses.

    Tests that ask for it carry ``pytest.mark.xdist_group("ray")``, so that one worker starts it.
    """
    # Asked for, not imported: Ray reads its settings as it is imported.
    if find_spec("ray") is None:
        pytest.skip("fed-audience[ray] is not installed")
    from fed_audience.errors import ResourceError  # noqa: PLC0415 - only its tests pay
    from fed_audience.federation.workers.ray_engine import RayEngine  # noqa: PLC0415 - the same

    # Ray's sockets need a path shorter than pytest's.
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    before = signal.getsignal(signal.SIGTERM)
    engine = RayEngine((), address="local", cpus=2, folder=folder, store_bytes=80 * 2**20)
    try:
        try:
            engine.connect()
        except ResourceError:  # Ray gives itself 30 s to start, which a busy machine may lack
            engine.connect()
        assert signal.getsignal(signal.SIGTERM) is before, "Ray took the signal"
        yield
    finally:
        engine.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["duckdb", "postgres"])
def empty_warehouse(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """An empty warehouse of each engine, with schema `main`; DuckDB's is in memory."""
    from fed_audience.warehouse.engines import open_warehouse  # noqa: PLC0415 - only its tests pay
    from fed_audience.warehouse.profiles import Profile  # noqa: PLC0415 - the same

    if request.param == "duckdb":
        yield open_warehouse(Profile(path=None))
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    target = server.emptied_database().model_copy(update={"search_path": "main"})
    warehouse = open_warehouse(Profile(type="postgres", postgres=target, schema="main"))
    warehouse.execute("create schema main")
    yield warehouse
    warehouse.close()


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory) -> FinishedDemo:
    """One demo of 6,000 customers with canaries planted in every raw table; a minute, run once.

    Tests that ask for it carry ``pytest.mark.xdist_group("demo")``, so that one worker runs it.
    """
    from tests.end_to_end.finished_demo import run_with_canaries  # noqa: PLC0415 - only its tests pay

    return run_with_canaries(tmp_path_factory.mktemp("demo"))
