"""Sites that leave a run whose coordinator, or whose other sites, are killed meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fed_audience.federation import TrainingResult, train
from fed_audience.federation import messages as m
from fed_audience.privacy.ledger import FileLedger
from tests.federation.example import manifest, programs, split, table
from tests.federation.faults import Fate, Faulty, losing
from tests.federation.mortal import Killed, Mortal, Sites, trained
from tests.federation.rounds.test_released_sums import Transcript
from tests.privacy.exact_rank import exposed

ROWS = table(300, seed=11)
NAMES = tuple(f"s{i:02d}" for i in range(10))
TABLES = split(ROWS, np.arange(ROWS.num_rows) % len(NAMES), list(NAMES))
THREE = ("s02", "s05", "s09")
AGREED = manifest(NAMES, n_estimators=2, max_depth=3, num_leaves=6, max_bin=15)
Decide = Callable[[str, m.Request], Fate]


def undisturbed(fate: Decide) -> TrainingResult:
    return train(Faulty(programs(TABLES), fate), AGREED, timeout=1.0, retries=0)


def dying_at(*places: tuple[type[m.Request], tuple[int, int]]) -> Callable[[int, m.Request], None]:
    """Kill the coordinator once at each of ``places``: a kind of request, tree and level."""
    left = set(places)

    def die(_call: int, request: m.Request) -> None:
        place = type(request), request.slot.position
        if place in left:
            left.discard(place)
            raise Killed

    return die


def to_its_end(sites: Sites, folder: Path, **options: Any) -> TrainingResult:
    for _ in range(20):
        try:
            return trained(Mortal(sites, **options), AGREED, folder)
        except Killed:
            continue
    raise AssertionError("the run does not get on")


ROOT: list[tuple[type[m.Request], tuple[int, int]]] = [
    (m.ShareSeeds, (1, 0)),
    (m.HoldShares, (1, 0)),
    (m.StartTree, (1, 0)),
    (m.SignSurvivors, (1, 0)),
    (m.RevealSeed, (1, 0)),
    (m.GrowLevel, (1, 1)),
]


@pytest.mark.parametrize(
    ("fate", "moment"), [("lost on the way there", "before"), ("lost on the way back", "after")]
)
def test_three_leave_for_good_while_the_coordinator_dies_at_every_step(
    fate: Fate, moment: str, tmp_path: Path
) -> None:
    gone = losing(THREE, (1, 0), fate=fate, kind=m.StartTree)
    sites = Sites(TABLES, tmp_path / "sites")
    transcript = Transcript(AGREED)
    options: dict[str, Any] = {moment: dying_at(*ROOT), "fate": gone, "on_message": transcript}
    result = to_its_end(sites, tmp_path / "journal", **options)
    assert result.model_text == undisturbed(gone).model_text
    assert set(result.cohort) == set(NAMES) - set(THREE)
    assert "the trees go on with 7 sites" in " ".join(result.warnings)
    released = transcript.released()
    assert {len(cohort) for cohort, _ in released} == {7, 10}
    assert exposed(released, NAMES) == []
    left = FileLedger(tmp_path / "sites" / "s00" / "ledger")._read_run(AGREED.run_id)
    assert left is not None
    assert left.opened == (NAMES, tuple(sorted(result.cohort)))


def test_who_was_left_out_stays_out_though_it_is_back_when_the_run_goes_on(
    tmp_path: Path,
) -> None:
    """The others have signed, or may have signed, the set without it."""
    sites = Sites(TABLES, tmp_path / "sites")
    gone = losing(THREE, (1, 0), kind=m.StartTree)
    with pytest.raises(Killed):
        trained(
            Mortal(sites, before=dying_at((m.SignSurvivors, (1, 0))), fate=gone),
            AGREED,
            tmp_path / "journal",
        )
    result = trained(Mortal(sites), AGREED, tmp_path / "journal")
    assert result.model_text == undisturbed(gone).model_text


def test_a_set_that_was_chosen_is_not_replaced_by_a_smaller_one(tmp_path: Path) -> None:
    sites = Sites(TABLES, tmp_path / "sites")
    gone = losing(THREE, (1, 0), kind=m.StartTree)
    with pytest.raises(Killed):
        trained(
            Mortal(sites, before=dying_at((m.RevealSeed, (1, 0))), fate=gone),
            AGREED,
            tmp_path / "journal",
        )
    more = losing((*THREE, "s00", "s03", "s07"), (1, 0))
    result = trained(Mortal(sites, fate=more), AGREED, tmp_path / "journal")
    assert (result.stopped, result.missing) == ("site_missing", ("s00", "s03", "s07"))
    assert len(result.model.trees) == 1


def test_shares_outlive_the_sites_that_hold_them(tmp_path: Path) -> None:
    """Every holder is killed before it is asked for the share of a site that has vanished."""
    whole = undisturbed(lambda _site, _request: "arrives")
    sites = Sites(TABLES, tmp_path / "sites")
    asked: list[m.Request] = []

    def restart(_call: int, request: m.Request) -> None:
        if isinstance(request, m.ReleaseShares):
            asked.append(request)
            for name in NAMES:
                sites.start(name)

    vanished = losing(["s07"], (1, 0), back=(1, 1), kind=m.RevealSeed)
    result = trained(Mortal(sites, before=restart, fate=vanished), AGREED, tmp_path / "journal")
    assert len(asked) == 1
    assert result.model_text == whole.model_text
    assert result.warnings == ()


def test_a_run_that_ended_for_want_of_a_site_goes_on_when_it_is_back(tmp_path: Path) -> None:
    four = {name: TABLES[name] for name in NAMES[:4]}
    agreed = manifest(tuple(four), n_estimators=2, max_depth=3, num_leaves=6, max_bin=15)
    whole = train(Mortal(Sites(four, tmp_path / "whole")), agreed)
    sites = Sites(four, tmp_path / "sites")
    away = losing(["s01"], (1, 0))
    first = trained(Mortal(sites, fate=away), agreed, tmp_path / "journal")
    assert (first.stopped, first.missing) == ("site_missing", ("s01",))
    assert first.model.trees == whole.model.trees[:1]
    sites.start("s01")
    result = trained(Mortal(sites), agreed, tmp_path / "journal")
    assert result.stopped == "all_trees"
    assert result.model_text == whole.model_text


def test_a_tree_that_ended_early_has_ended_for_good(tmp_path: Path) -> None:
    """It was announced with its leaves; a resume does not grow it on, though the site is back."""
    sites = Sites(TABLES, tmp_path / "sites")
    away = losing(["s04"], (0, 1), back=(1, 0))
    short = undisturbed(away)
    with pytest.raises(Killed):
        trained(
            Mortal(sites, before=dying_at((m.StartTree, (1, 0))), fate=away),
            AGREED,
            tmp_path / "journal",
        )
    result = trained(Mortal(sites), AGREED, tmp_path / "journal")
    assert result.model_text == short.model_text
    assert "no answer from s04: tree 1 ends at level 1" in " ".join(result.warnings)
