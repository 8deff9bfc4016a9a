"""Sites that leave a run: the model is that of the same sums without masks, or is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import isnan
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import SiteProgram, TrainingResult, evaluate, explain, train
from fed_audience.federation import messages as m
from fed_audience.federation.rounds.coordinator import SiteMissing
from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.roster import enrol
from fed_audience.privacy.site import SecureSite
from tests.federation.example import KEY, manifest, programs, run, split, table, with_targets
from tests.federation.faults import Fate, Faulty, losing

ROWS = with_targets(table(780, seed=11))
CHOSEN: dict[str, Any] = {"n_estimators": 5, "max_bin": 31, "max_depth": 3, "num_leaves": 8}
THREE = ("s02", "s05", "s09")
Decide = Callable[[str, m.Request], Fate]


def tables(count: int) -> dict[str, pa.Table]:
    return split(ROWS, np.arange(ROWS.num_rows) % count, [f"s{i:02d}" for i in range(count)])


def trained(count: int, fate: Decide, *, secure: bool = True, **changes: Any) -> TrainingResult:
    sites = tables(count)
    agreed = manifest(list(sites), **CHOSEN | changes, secure=secure)
    return train(Faulty(programs(sites), fate), agreed, timeout=1.0, retries=1)


def alike(count: int, fate: Decide, **changes: Any) -> TrainingResult:
    """Train with masks and without under the same losses; the models are the same bytes."""
    masked = trained(count, fate, **changes)
    plain = trained(count, fate, secure=False, **changes)
    assert masked.model_text == plain.model_text
    assert (masked.cohort, masked.missing) == (plain.cohort, plain.missing)
    assert (masked.stopped, masked.metrics) == (plain.stopped, plain.metrics)
    return masked


def arriving(_site: str, _request: m.Request) -> Fate:
    return "arrives"


def splits(result: TrainingResult) -> list[Any]:
    return [tree.splits for tree in result.model.trees]


@pytest.fixture(scope="module")
def undisturbed() -> TrainingResult:
    return alike(13, arriving)


def test_thirteen_sites_make_the_model_of_three(undisturbed: TrainingResult) -> None:
    assert undisturbed.sha256 == run(tables(3), **CHOSEN).sha256
    assert undisturbed.stopped == "all_trees"
    assert undisturbed.cohort == tuple(tables(13))
    assert undisturbed.missing == ()
    assert undisturbed.warnings == ()


@pytest.mark.parametrize("fate", ["lost on the way there", "lost on the way back"])
def test_three_sites_leave_at_a_root_and_the_trees_go_on(
    fate: Fate, undisturbed: TrainingResult
) -> None:
    result = alike(13, losing(THREE, (2, 0), fate=fate, kind=m.StartTree))
    assert result.stopped == "all_trees"
    assert result.missing == ()
    assert set(result.cohort) == set(tables(13)) - set(THREE)
    assert splits(result)[:2] == splits(undisturbed)[:2]
    assert splits(result)[2:] != splits(undisturbed)[2:]
    assert len(splits(result)) == 5
    assert "s02, s05, s09: the trees go on with 10 sites" in " ".join(result.warnings)


def test_who_left_is_not_asked_again_though_it_came_back() -> None:
    away = losing(THREE, (2, 0), back=(2, 1), kind=m.StartTree)
    stays = losing(THREE, (2, 0), kind=m.StartTree)
    assert alike(13, away).sha256 == alike(13, stays).sha256


def test_sites_leave_twice_until_too_few_are_left_to_spare_any() -> None:
    first, second = losing(THREE, (1, 0)), losing(("s00", "s03", "s12"), (3, 0))

    def both(site: str, request: m.Request) -> Fate:
        one, other = first(site, request), second(site, request)
        return one if one != "arrives" else other

    result = alike(13, both)
    assert result.stopped == "all_trees"
    assert len(result.cohort) == 7
    third = losing(("s01", "s04", "s06"), (4, 0))

    def all_three(site: str, request: m.Request) -> Fate:
        found = both(site, request)
        return third(site, request) if found == "arrives" else found

    ended = alike(13, all_three)
    assert ended.stopped == "site_missing"
    assert ended.missing == ("s01", "s04", "s06")
    assert splits(ended) == splits(result)[:4]


def test_one_site_lost_below_a_root_ends_the_tree_and_the_run_goes_on_once_it_is_back(
    undisturbed: TrainingResult,
) -> None:
    result = alike(13, losing(["s04"], (2, 2), back=(3, 0)))
    assert result.stopped == "all_trees"
    assert len(result.cohort) == 13
    assert splits(result)[:2] == splits(undisturbed)[:2]
    short, full = result.model.trees[2], undisturbed.model.trees[2]
    assert 0 < len(short.splits) < len(full.splits)
    assert short.splits == full.splits[: len(short.splits)]
    assert "no answer from s04: tree 3 ends at level 2" in " ".join(result.warnings)


@pytest.mark.parametrize("fate", ["lost on the way there", "lost on the way back"])
def test_whether_the_last_level_reached_a_site_or_not_its_scores_are_right(fate: Fate) -> None:
    """Its reply lost, a site has split its rows; the request lost, it has not."""
    one = alike(4, losing(["s01"], (1, 1), fate=fate, back=(2, 0)))
    two = alike(4, losing(["s01"], (1, 1), back=(2, 0)))
    assert one.sha256 == two.sha256
    assert one.metrics == two.metrics


def test_one_site_that_stays_away_ends_the_run_with_its_finished_trees(
    undisturbed: TrainingResult,
) -> None:
    result = alike(13, losing(["s04"], (2, 2)))
    assert result.stopped == "site_missing"
    assert result.missing == ("s04",)
    assert len(result.model.trees) == 3
    assert splits(result)[:2] == splits(undisturbed)[:2]
    assert result.metrics is None
    assert "small_change" in result.warnings[-1]
    assert "the 3 finished trees are kept" in result.warnings[-1]


def test_three_sites_lost_below_a_root_leave_at_the_next() -> None:
    result = alike(13, losing(THREE, (2, 1)))
    assert result.stopped == "all_trees"
    assert len(result.cohort) == 10
    assert len(result.model.trees) == 5


@pytest.mark.parametrize("gone", [("s02",), ("s02", "s05")])
def test_one_or_two_sites_cannot_leave_a_root(gone: tuple[str, ...]) -> None:
    result = alike(13, losing(gone, (2, 0)))
    assert (result.stopped, result.missing) == ("site_missing", gone)
    assert len(result.model.trees) == 2


def test_more_than_a_third_cannot_leave() -> None:
    gone = ("s01", "s02", "s05", "s07", "s09")
    result = alike(13, losing(gone, (2, 0)))
    assert (result.stopped, result.missing) == ("site_missing", gone)
    assert "no_quorum" in result.warnings[-1]


@pytest.mark.parametrize("place", [(0, 0), (0, 2), (-1, 1)])
def test_nobody_leaves_before_the_first_tree_is_done(place: tuple[int, int]) -> None:
    """Counts travel before it, and its hessians are counts."""
    if place == (0, 2):
        result = alike(13, losing(THREE, place, back=(1, 0)))
        assert result.stopped == "all_trees"
        assert len(result.cohort) == 13
        return
    with pytest.raises(SiteMissing, match="no answer from s02, s05, s09"):
        trained(13, losing(THREE, place))


def test_hessians_that_are_counts_keep_every_site() -> None:
    demand: dict[str, Any] = {"label": "margin", "task": "demand", "objective": "regression"}
    result = alike(13, losing(THREE, (2, 0)), **demand)
    assert (result.stopped, result.missing) == ("site_missing", THREE)
    assert alike(13, arriving, **demand).sha256 == run(tables(3), **CHOSEN | demand).sha256


def test_below_ten_sites_the_run_ends_at_the_last_complete_level() -> None:
    result = alike(4, losing(["s01"], (2, 1)))
    assert (result.stopped, result.missing) == ("site_missing", ("s01",))
    assert len(result.model.trees) == 3
    assert len(result.model.trees[2].splits) == 1
    first = alike(4, losing(["s01"], (0, 1)))
    assert [len(tree.splits) for tree in first.model.trees] == [1]


def test_several_classes_end_their_trees_together() -> None:
    classes: dict[str, Any] = {
        "label": "next_channel",
        "task": "multiclass",
        "classes": ("0", "1", "2"),
        "objective": "multiclass",
        "num_class": 3,
    }
    result = alike(4, losing(["s01"], (1, 2), back=(2, 0)), **classes)
    assert len(result.model.trees) == 15
    three = alike(13, losing(THREE, (2, 0)), **classes)
    assert len(three.cohort) == 10


@pytest.mark.parametrize("vanished", [("s07",), ("s03", "s07")])
def test_shares_stand_in_for_who_vanishes_between_signing_and_revealing(
    vanished: tuple[str, ...], undisturbed: TrainingResult
) -> None:
    """Its vector is in the sum; when it is back for the next level nothing has happened."""
    away = losing(vanished, (2, 0), back=(2, 1), kind=m.RevealSeed)
    result = trained(13, away)
    assert result.model_text == undisturbed.model_text
    assert result.warnings == ()


def test_who_vanishes_after_signing_and_stays_away_ends_the_tree_at_its_root() -> None:
    result = trained(13, losing(["s07"], (2, 0), kind=m.RevealSeed))
    plain = trained(13, losing(["s07"], (2, 1)), secure=False)
    assert result.model_text == plain.model_text
    assert (result.stopped, result.missing) == ("site_missing", ("s07",))
    assert len(result.model.trees[2].splits) == 1


def test_without_enough_shares_the_tree_is_not_begun() -> None:
    """Five of thirteen keep their shares to themselves: eight are fewer than nine."""
    keep = ("s00", "s01", "s02", "s03", "s04")
    vanishing = losing(["s07"], (2, 0), kind=m.RevealSeed)

    def fate(site: str, request: m.Request) -> Fate:
        if isinstance(request, m.HoldShares) and site in keep:
            return "lost on the way there"
        return vanishing(site, request)

    result = trained(13, fate)
    assert (result.stopped, result.missing) == ("site_missing", ("s07",))
    assert len(result.model.trees) == 2
    assert "vanished in the middle of a round" in result.warnings[-1]


def test_a_set_that_one_site_does_not_sign_is_not_replaced_by_another() -> None:
    result = trained(13, losing(["s07"], (2, 0), kind=m.SignSurvivors))
    plain = trained(13, losing(["s07"], (2, 0)), secure=False)
    assert result.model_text == plain.model_text
    assert (result.stopped, result.missing) == ("site_missing", ("s07",))


def test_who_is_missing_after_the_last_tree_costs_its_measures_alone() -> None:
    early: dict[str, Any] = {"early_stopping_round": 5}
    result = alike(4, losing(["s01"], (m.EVALUATION, 0)), **early)
    assert (result.stopped, result.missing) == ("all_trees", ("s01",))
    assert result.metrics is None
    last = alike(4, losing(["s01"], (5, 0)), **early)
    assert (last.stopped, len(last.model.trees)) == ("site_missing", 5)


def test_losses_of_different_sites_are_not_compared() -> None:
    early: dict[str, Any] = {"early_stopping_round": 2, "n_estimators": 6}
    result = alike(13, losing(THREE, (3, 0)), **early)
    told = [isnan(loss) for loss in result.validation_losses]
    assert told == [False] * 3 + [True] * (len(told) - 3)
    assert result.best_iteration >= 3


def test_a_run_that_sites_left_is_evaluated_and_explained_over_the_others() -> None:
    sites = tables(13)
    agreed = manifest(list(sites), **CHOSEN, early_stopping_round=5)
    transport = Faulty(programs(sites), losing(THREE, (2, 0)))
    result = train(transport, agreed, timeout=1.0)
    measured = evaluate(transport, agreed, result.model, number=1, cohort=result.cohort)
    assert measured == result.metrics is not None
    assert explain(transport, agreed, result.model, number=2, cohort=result.cohort)
    with pytest.raises(FederationError, match=r"s00 refused \(wrong_cohort\)"):
        evaluate(transport, agreed, result.model, number=3)


def members(
    sites: dict[str, pa.Table], build: str | None = None
) -> tuple[dict[str, SiteProgram], Callable[[str], None]]:
    """Sites with ledgers that outlive them, and what starts one of them anew."""
    identities = {name: SiteIdentity.generate(name) for name in sites}
    roster = enrol(identities.values())
    ledgers = {name: SiteLedger() for name in sites}
    found = programs(sites)

    def start(name: str) -> None:
        secure = SecureSite(identities[name], roster, ledgers[name], build=build)
        found[name] = SiteProgram(name, programs(sites)[name]._opening._source, KEY, secure=secure)

    for name in sites:
        start(name)
    return found, start


def test_a_site_that_is_started_anew_has_lost_the_run() -> None:
    sites, start = members(tables(4))
    transport = Faulty(sites, arriving)

    def fate(site: str, request: m.Request) -> Fate:
        if site == "s01" and request.slot.position == (2, 1) and not restarted:
            restarted.append(site)
            start(site)
            transport._programs[site] = sites[site]
        return "arrives"

    restarted: list[str] = []
    transport._fate = fate
    result = train(transport, manifest(list(sites), **CHOSEN), timeout=1.0)
    assert (result.stopped, result.missing) == ("site_missing", ("s01",))
    assert "s01 (started anew)" in result.warnings[-1]
    plain = trained(4, losing(["s01"], (2, 1)), secure=False)
    assert result.model_text == plain.model_text


def test_survivors_too_like_an_earlier_runs_end_it_with_its_finished_trees() -> None:
    """Twelve sites trained on these rows before; sixteen less three leave one that was not there.

    The difference of both sums would be that one site's own.
    """
    everyone, build = tables(16), "table@build 1"
    earlier = {name: rows for name, rows in everyone.items() if name < "s12"}
    sites, start = members(everyone, build)
    train(
        Faulty({name: sites[name] for name in earlier}, arriving), manifest(list(earlier), **CHOSEN)
    )
    for name in sites:
        start(name)
    agreed = replace(manifest(list(everyone), **CHOSEN), run_id="a later run")
    gone = ("s12", "s13", "s14")
    result = train(Faulty(sites, losing(gone, (2, 0))), agreed, timeout=1.0)
    assert (result.stopped, result.missing) == ("site_missing", gone)
    assert len(result.model.trees) == 2
    assert result.cohort == tuple(everyone)
    assert "earlier_cohort" in result.warnings[-1]
    assert "the 2 finished trees are kept" in result.warnings[-1]
    other = replace(agreed, run_id="a third run")
    for name in sites:
        start(name)
    fewer = train(Faulty(sites, losing(("s01", "s02", "s03"), (2, 0))), other, timeout=1.0)
    assert (fewer.stopped, len(fewer.cohort)) == ("all_trees", 13)


def test_a_run_is_not_begun_again_with_an_old_ledger() -> None:
    """Its peers have seen the counter with another key."""
    sites, start = members(tables(4))
    agreed = manifest(list(sites), **CHOSEN)
    train(Faulty(sites, arriving), agreed)
    for name in sites:
        start(name)
    secure = sites["s01"]._secure
    assert secure is not None
    secure._ledger = SiteLedger()
    with pytest.raises(FederationError, match=r"refused \(old_counter\)"):
        train(Faulty(sites, arriving), agreed)


class Lying(Faulty):
    """A coordinator's network that shows sites what the coordinator did not send."""

    def __init__(
        self, sites: dict[str, SiteProgram], change: Callable[[str, m.Request], list[m.Request]]
    ) -> None:
        super().__init__(sites, arriving)
        self._change = change

    def call(self, body: bytes, to: Any, timeout: float) -> Iterator[tuple[str, bytes]]:
        for site in to:
            sent = self._change(site, m.decode_request(body))
            *_, last = [dict(super(Lying, self).call(m.encode(s), [site], timeout)) for s in sent]
            yield site, last[site]


def test_a_coordinator_that_shows_a_site_two_survivor_sets_is_refused() -> None:
    def change(site: str, request: m.Request) -> list[m.Request]:
        if isinstance(request, m.SignSurvivors) and site == "s00":
            fewer = request.model_copy(update={"survivors": request.survivors[:-3]})
            return [fewer, request]
        return [request]

    sites, _ = members(tables(13))
    with pytest.raises(FederationError, match=r"site s00 refused \(two_survivor_sets\)"):
        train(Lying(sites, change), manifest(list(sites), **CHOSEN))


def test_a_coordinator_that_shows_sites_different_sets_opens_neither() -> None:
    """A victim signs one set and the others another: the victim keeps its seed."""

    def change(site: str, request: m.Request) -> list[m.Request]:
        if isinstance(request, m.SignSurvivors) and site == "s00":
            return [request.model_copy(update={"survivors": request.survivors[:10]})]
        return [request]

    sites, _ = members(tables(13))
    with pytest.raises(FederationError, match=r"refused \((bad_signature|bad_message)\)"):
        train(Lying(sites, change), manifest(list(sites), **CHOSEN))


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        (m.SignSurvivors, {"survivors": (0, 99)}, "bad_message"),
        (m.SignSurvivors, {"survivors": tuple(range(8))}, "no_quorum"),
        (m.SignSurvivors, {"survivors": tuple(range(11))}, "small_change"),
        (m.SignSurvivors, {"survivors": tuple(range(1, 11))}, "not_a_survivor"),
        (m.RevealSeed, {"signatures": ("00" * 64,) * 13}, "bad_signature"),
        (m.RevealSeed, {"signatures": ()}, "bad_message"),
        (m.HoldShares, {"senders": (1, 2)}, "bad_message"),
        (m.HoldShares, {"senders": (*range(2, 13), 1)}, "bad_shares"),
        (m.StartTree, {"absent": (10, 11, 12)}, "wrong_cohort"),
    ],
)
def test_what_the_rules_forbid_is_refused_by_name(
    kind: type[m.Request], changes: dict[str, Any], reason: str
) -> None:
    def change(site: str, request: m.Request) -> list[m.Request]:
        if type(request) is kind and site == "s00" and request.slot.tree > 0:
            return [request.model_copy(update=changes)]
        return [request]

    sites, _ = members(tables(13))
    with pytest.raises(FederationError, match=rf"site s00 refused \({reason}\)"):
        train(Lying(sites, change), manifest(list(sites), **CHOSEN))


def test_a_site_that_is_shown_another_cohort_shares_for_it_and_is_found_out() -> None:
    def change(site: str, request: m.Request) -> list[m.Request]:
        if isinstance(request, m.ShareSeeds) and site == "s00":
            return [request.model_copy(update={"absent": (1, 2)})]
        return [request]

    sites, _ = members(tables(13))
    with pytest.raises(FederationError, match=r"s00 sent shares .*: 10 envelopes"):
        train(Lying(sites, change), manifest(list(sites), **CHOSEN))


def test_shares_are_drawn_once_and_the_same_when_asked_again() -> None:
    seen: list[bytes] = []

    def change(site: str, request: m.Request) -> list[m.Request]:
        if isinstance(request, m.ShareSeeds) and site == "s00":
            seen.extend(sites[site].handle(m.encode(request)) for _ in range(2))
        return [request]

    sites, _ = members(tables(13))
    train(Lying(sites, change), manifest(list(sites), **CHOSEN))
    assert seen
    assert seen[0] == seen[1]
