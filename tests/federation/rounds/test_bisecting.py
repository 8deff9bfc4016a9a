"""Finding the group that wrong numbers come from, without a sum that shows one or two sites."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fed_audience.errors import FederationError
from fed_audience.federation import Envelope, InProcessTransport, SiteProgram
from fed_audience.federation import messages as m
from fed_audience.federation.rounds.bisecting import bisect, groups_of, train_or_bisect
from fed_audience.federation.rounds.sum_checks import BrokenSums
from fed_audience.privacy.rounds import small_groups
from tests.federation.example import manifest, programs, run, split, table

NAMES = [f"s{i}" for i in range(7)]
TABLES = split(table(1_400, seed=5), np.arange(1_400) % 7, NAMES)
SHORT: dict[str, Any] = {"n_estimators": 2, "max_depth": 3}


def scaling(site: str, factor: int) -> dict[str, SiteProgram]:
    """Sites of which one multiplies what it sends from the trees on."""
    sites = programs(TABLES)
    state_of = sites[site]._release

    def release(request: m.Request, vector: Any) -> bytes:
        if request.slot.tree >= 0:
            vector = type(vector)(vector.kind, vector.values * factor, vector.ring)
        return state_of(request, vector)

    sites[site]._release = release  # type: ignore[method-assign]  # a site that lies
    return sites


@pytest.mark.parametrize(
    ("sites", "sizes"), [(6, [3, 3]), (8, [4, 4]), (9, [3, 3, 3]), (11, [4, 4, 3])]
)
def test_groups_are_disjoint_and_of_three_or_more(sites: int, sizes: list[int]) -> None:
    names = [f"s{i:02d}" for i in range(sites)]
    groups = groups_of(names)
    assert [len(group) for group in groups] == sizes
    assert sorted(site for group in groups for site in group) == names
    assert small_groups([names, *groups]) == []


@pytest.mark.parametrize("sites", [1, 3, 5])
def test_fewer_than_six_cannot_be_parted(sites: int) -> None:
    with pytest.raises(FederationError, match="too few sites"):
        groups_of(NAMES[:sites])


@pytest.mark.parametrize("bad", ["s0", "s3"])
def test_a_site_that_scales_its_sums_is_found_in_its_group(bad: str) -> None:
    seen: list[Envelope] = []
    transport = InProcessTransport(scaling(bad, -100), seen.append)
    group = next(one for one in groups_of(NAMES) if bad in one)
    with pytest.raises(FederationError, match=rf"so are those of \({', '.join(group)}\)") as caught:
        train_or_bisect(transport, manifest(NAMES, **SHORT))
    assert not isinstance(caught.value, BrokenSums)
    asked: dict[str, set[str]] = {}
    for envelope in seen:
        if envelope.direction == "from_site":
            reply = m.decode_reply(envelope.body)
            asked.setdefault(reply.slot.run, set()).add(envelope.site)
    assert len(asked) == 3
    assert small_groups(asked.values()) == []


def test_without_bisecting_the_first_broken_sum_ends_the_run_and_names_the_command() -> None:
    transport = InProcessTransport(scaling("s2", -100))
    with pytest.raises(BrokenSums, match="--bisect"):
        train_or_bisect(transport, manifest(NAMES, **SHORT), bisecting=False)


def test_honest_groups_break_nothing() -> None:
    transport, agreed = InProcessTransport(programs(TABLES)), manifest(NAMES, **SHORT)
    assert [one.broken for one in bisect(transport, agreed)] == [None, None]
    assert train_or_bisect(transport, agreed).sha256 == run(TABLES, **SHORT).sha256


def test_wrong_sums_of_no_group_alone_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows were right again when the groups were summed."""
    sites = scaling("s1", -100)
    transport = InProcessTransport(sites)
    lying = sites["s1"]._release

    def once(request: m.Request, vector: Any) -> bytes:
        if "group" in request.slot.run:
            return SiteProgram._release(sites["s1"], request, vector)
        return lying(request, vector)

    monkeypatch.setattr(sites["s1"], "_release", once)
    with pytest.raises(FederationError, match="of no group alone"):
        train_or_bisect(transport, manifest(NAMES, **SHORT))


def test_sites_without_labels_are_not_parted() -> None:
    agreed = manifest(NAMES, **SHORT, task="lookalike", label_sites=tuple(NAMES[:4]))
    with pytest.raises(FederationError, match="4 of 7 hold labels"):
        bisect(InProcessTransport(programs(TABLES)), agreed)
