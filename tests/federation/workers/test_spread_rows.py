"""A site whose rows are spread goes on from its checkpoint, and its workers with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import ArrowSource, InProcessTransport, train
from fed_audience.federation import messages as m
from fed_audience.federation.enrolment import enrol_in_memory
from fed_audience.federation.messages.refusal import RowsChanged, SiteHindered
from fed_audience.federation.private.keeper import PrivacyKeeper
from tests.federation.example import manifest, run, split, table
from tests.federation.mortal import Killed, Mortal, Sites, trained
from tests.federation.private.example import private_manifest
from tests.federation.workers.spread import MortalEngine, shares_of, spread_program

NAMES = ("a", "b", "c")
TABLES = split(table(240, seed=5), np.arange(240) % 3, NAMES)
CHOSEN: dict[str, Any] = {"n_estimators": 2, "max_depth": 3, "num_leaves": 7, "max_bin": 15}
AGREED = manifest(NAMES, **CHOSEN, early_stopping_round=3)


class SpreadSites(Sites):
    """Sites of which "a" has its rows in two shares. ``engine``: of its workers."""

    def start(self, name: str) -> None:
        super().start(name)
        if name == "a":
            plain = self.programs[name]
            shares = shares_of(self.tables[name], 2)
            self.engine = MortalEngine([ArrowSource(rows) for rows in shares])
            self.programs[name] = spread_program(
                name,
                shares,
                self.engine,
                secure=plain._secure,
                checkpoint=self._checkpoints[name],
            )


def interrupted(sites: Sites, folder: Path, place: tuple[int, int]) -> None:
    """Train until the coordinator dies before it asks ``place``."""

    def die(_call: int, request: m.Request) -> None:
        if request.slot.position == place:
            raise Killed

    with pytest.raises(Killed):
        trained(Mortal(sites, before=die), AGREED, folder)


@pytest.mark.parametrize("place", [(-1, 3), (1, 0), (1, 2)])
def test_a_site_started_anew_goes_on_with_new_workers(
    tmp_path: Path, place: tuple[int, int]
) -> None:
    sites = SpreadSites(TABLES, tmp_path / "sites")
    interrupted(sites, tmp_path / "journal", place)
    sites.start("a")
    result = trained(Mortal(sites), AGREED, tmp_path / "journal")
    assert result.sha256 == run(TABLES, **CHOSEN, early_stopping_round=3).sha256


def test_a_cluster_that_is_gone_pauses_the_run_until_it_is_back(tmp_path: Path) -> None:
    sites = SpreadSites(TABLES, tmp_path / "sites")
    sites.engine.fate = lambda _share, _method, number: number > 12
    with pytest.raises(SiteHindered, match="workers"):
        trained(Mortal(sites), AGREED, tmp_path / "journal")
    sites.engine.fate = lambda *_: False
    result = trained(Mortal(sites), AGREED, tmp_path / "journal")
    assert result.sha256 == run(TABLES, **CHOSEN, early_stopping_round=3).sha256


@pytest.mark.parametrize("restarted", [True, False])
def test_whoever_withdrew_meanwhile_ends_the_run(tmp_path: Path, restarted: bool) -> None:  # noqa: FBT001 - pytest passes it
    sites = SpreadSites(TABLES, tmp_path / "sites")
    interrupted(sites, tmp_path / "journal", (1, 1))
    source = sites.engine._sources[0]
    sites.tables["a"] = sites.tables["a"].slice(1)
    if restarted:
        sites.start("a")
    else:
        source._table = source._table.slice(1)  # type: ignore[attr-defined]
    with pytest.raises(RowsChanged, match="withdrawn"):
        trained(Mortal(sites), AGREED, tmp_path / "journal")


def test_a_run_with_noise_is_refused_by_name() -> None:
    program = spread_program("a", shares_of(TABLES["a"], 2), keeper=PrivacyKeeper())
    enrol_in_memory([program])
    with pytest.raises(FederationError, match="not_spread"):
        train(InProcessTransport({"a": program}), private_manifest(("a",)))
