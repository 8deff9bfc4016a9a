"""A private run whose processes are killed: every noisy vector is drawn once, and paid once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import messages as m
from fed_audience.federation.private.keeper import PrivacyKeeper
from fed_audience.federation.transport import Envelope
from fed_audience.privacy.budget import BudgetBook
from fed_audience.privacy.dp.releases import StoredReleases
from tests.federation.example import split, table
from tests.federation.mortal import Killed, Mortal, Sites, trained
from tests.federation.private.example import private_manifest

ROWS = table(300, seed=2)
NAMES = ("a", "b", "c")
TABLES = split(ROWS, np.arange(ROWS.num_rows) % 3, NAMES)
AGREED = replace(
    private_manifest(NAMES),
    parameters=replace(private_manifest(NAMES).parameters, n_estimators=6),
)


def keeper(folder: Path) -> PrivacyKeeper:
    book = BudgetBook(folder / "budget.db")
    book.limit("rows", 8.0, 1e-6)
    return PrivacyKeeper(book, "rows", StoredReleases(folder / "releases"))


def test_killed_at_every_message_a_private_run_releases_each_vector_once(tmp_path: Path) -> None:
    sites = Sites(TABLES, tmp_path / "sites", keeper)
    replies: dict[tuple[str, bytes], set[bytes]] = {}
    last: dict[str, bytes] = {}
    deaths: set[bytes] = set()

    def heard(envelope: Envelope) -> None:
        if envelope.direction == "to_site":
            last[envelope.site] = envelope.body
        else:
            replies.setdefault((envelope.site, last[envelope.site]), set()).add(envelope.body)

    def die(_call: int, request: m.Request) -> None:
        body = m.encode(request)
        if not isinstance(request, m.ResumeRun) and body not in deaths:
            deaths.add(body)
            for name in NAMES:
                sites.start(name)
            raise Killed

    for _ in range(30):
        try:
            result = trained(Mortal(sites, after=die, on_message=heard), AGREED, tmp_path / "run")
            break
        except Killed:
            continue
    assert len(deaths) > 10
    assert len(result.model.trees) == 6
    assert all(len(bodies) == 1 for bodies in replies.values())
    spent = BudgetBook(tmp_path / "sites" / "a" / "budget.db").balance("rows")
    once = Sites(TABLES, tmp_path / "once", keeper)
    trained(Mortal(once), AGREED, tmp_path / "undisturbed")
    assert spent.mu == BudgetBook(tmp_path / "once" / "a" / "budget.db").balance("rows").mu


def test_a_site_that_lost_its_releases_does_not_draw_them_anew(tmp_path: Path) -> None:
    sites = Sites(TABLES, tmp_path / "sites")

    def restart(_call: int, request: m.Request) -> None:
        if request.slot.position == (2, 0):
            sites.start("b")

    with pytest.raises(FederationError, match=r"site b refused \(checkpoint\)"):
        trained(Mortal(sites, before=restart), AGREED, tmp_path / "run")
