"""A run waits for the brands that have not queued, names them, and ends in time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fed_audience.errors import StillWaiting
from fed_audience.jobs.waiting import await_requests
from fed_audience.warehouse.duckdb import DuckDbWarehouse
from tests.jobs.small_federation import NOW, SmallFederation


def queue(federation: SmallFederation, brand: str, status: str) -> None:
    federation.execute(brand, f"update fed_audience.training_requests set status = '{status}'")


def test_it_names_whom_it_waits_for_until_all_have_queued(
    small_federation: SmallFederation,
) -> None:
    told: list[tuple[str, ...]] = []
    left = ["ant", "bee"]
    for brand in left:
        queue(small_federation, brand, "succeeded")

    def another_brand_builds(seconds: float) -> None:
        assert seconds == 2.0
        queue(small_federation, left.pop(0), "pending")

    settings = small_federation.settings
    await_requests(
        settings,
        settings.models[0],
        clock=lambda: NOW,
        timeout=60,
        on_wait=told.append,
        sleep=another_brand_builds,
    )
    assert told == [("ant", "bee"), ("bee",)]


def test_the_time_is_over(small_federation: SmallFederation) -> None:
    queue(small_federation, "bee", "failed")
    settings = small_federation.settings
    with pytest.raises(StillWaiting, match=r"bee had not queued a training of repurchase") as over:
        await_requests(settings, settings.models[0], clock=lambda: NOW, timeout=0)
    assert over.value.exit_code == 17
    assert "training_requests at bee" in str(over.value)


def test_of_a_lookalike_around_one_brand_that_brand_alone_queues(
    small_federation: SmallFederation,
) -> None:
    queue(small_federation, "bee", "failed")
    small_federation.execute(
        "ant",
        "update fed_audience.training_requests set spec = replace(spec, 'propensity\"',"
        ' \'lookalike", "mode": "seed_brand", "seed_brand": "ant"\')',
    )
    settings = small_federation.settings
    await_requests(settings, settings.models[0], clock=lambda: NOW, timeout=0)


def test_a_brand_whose_file_dbt_holds_has_not_queued_yet(
    small_federation: SmallFederation, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = DuckDbWarehouse.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "patience_s", 0.0)
    hold = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(flush=True); input()"
    path = small_federation.folder / "bee" / "brand.duckdb"
    settings = small_federation.settings
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"\n"
            with pytest.raises(StillWaiting, match=r"bee had not queued a training"):
                await_requests(settings, settings.models[0], clock=lambda: NOW, timeout=0)
        finally:
            holder.kill()
    await_requests(settings, settings.models[0], clock=lambda: NOW, timeout=0)
