"""A site that sends wrong numbers is noticed in the sums, though nobody sees its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fed_audience.errors import DataError, FederationError
from fed_audience.federation import InProcessTransport, train
from fed_audience.federation import messages as m
from fed_audience.federation.messages.packing import Packing, SlotPacking
from fed_audience.federation.rounds.sum_checks import SumChecks
from fed_audience.federation.site.run import SiteRun
from fed_audience.gbdt.fixed_point import FixedPoint
from fed_audience.gbdt.kernels.histogram import SlotLayout
from fed_audience.gbdt.kernels.packed_sums import PackedSlots
from fed_audience.gbdt.kernels.team import team_of
from tests.federation.example import manifest, programs, run, split, table

Pairs = NDArray[np.int64]
ROWS = table(3_000, seed=9)
NOTICED = r"cannot be right|contradicts the sums of its node|counts hold different numbers"
NAMES = [f"s{number}" for number in range(10)]
TABLES = split(ROWS, np.arange(ROWS.num_rows) % 10, NAMES)


def poisoned(change: Callable[[int, Pairs], Pairs], **changes: Any) -> None:
    """Train while site s3 changes its histograms, (level, int64[nodes, slots, 2]), before masks."""
    sites = programs(TABLES)
    transport = InProcessTransport(sites)
    bad = sites["s3"]
    honest = bad._open

    def opened(request: m.OpenRun, body: bytes) -> bytes:
        reply = honest(request, body)
        assert bad._run is not None
        state = bad._run.state
        assert isinstance(state, SiteRun)
        starts, level = state._start_trees, [0]

        def at_root(request: m.StartTree) -> Any:
            level[0] = 0
            booster = state._booster
            grows = type(booster).start_growing

            def changed(splits: Any, build: Any, packed: PackedSlots) -> Callable[[], Pairs]:
                summed = grows(booster, splits, build, packed)

                def sums() -> Pairs:
                    found = _in_pairs(summed(), packed, lambda pairs: change(level[0], pairs))
                    level[0] += 1
                    return found

                return sums

            booster.start_growing = changed  # type: ignore[method-assign,assignment]
            return starts(request)

        state._start_trees = at_root  # type: ignore[method-assign]
        return reply

    bad._open = opened  # type: ignore[method-assign]
    train(transport, manifest(NAMES, **changes))


def _in_pairs(sums: Pairs, packed: PackedSlots, change: Callable[[Pairs], Pairs]) -> Pairs:
    """``change`` the pairs in sums of a form, int64[nodes, width]."""
    how = SlotPacking(
        Packing(hessian_bits=packed.hessian_bits),
        (sums.shape[1] - len(packed.wide)) if packed.hessian_bits else sums.shape[1] // 2,
        packed.wide,
    )
    pairs, _ = how.unpack(sums.reshape(-1), len(sums))
    return how.pack(change(pairs)).reshape(len(sums), -1)


@pytest.mark.parametrize("factor", [-100, -5, 10, 100])
def test_a_site_that_scales_its_histograms_is_noticed(factor: int) -> None:
    with pytest.raises(FederationError, match="sums over the sites cannot be right"):
        poisoned(lambda _level, sums: sums * factor)


def test_a_site_that_scales_only_below_the_root_is_noticed() -> None:
    with pytest.raises(FederationError, match=r"cannot be right|contradicts the sums of its node"):
        poisoned(lambda level, sums: sums * (3 if level else 1))


def test_a_cell_out_of_range_is_noticed_and_its_feature_named() -> None:
    def raised(level: int, sums: Pairs) -> Pairs:
        sums = sums.copy()
        sums[0, 2, 0] += 2**30
        return sums

    with pytest.raises(FederationError, match=r"root of tree 1, feature spend") as caught:
        poisoned(raised)
    assert "gradient sum exceeds" in caught.value.what
    assert str(caught.value.value).startswith("1 of ")


def test_features_that_disagree_are_noticed() -> None:
    """Within the bounds of every cell: the same rows cannot sum to two totals."""

    def moved(level: int, sums: Pairs) -> Pairs:
        sums = sums.copy()
        sums[0, 0] += [5, 1]
        return sums

    with pytest.raises(FederationError, match="contradicts the sums of its node"):
        poisoned(moved)


@pytest.mark.parametrize("changes", [{}, {"secure": False}, {"early_stopping_round": 2}])
def test_an_honest_run_satisfies_every_check(changes: dict[str, Any]) -> None:
    assert run(TABLES, **changes).trees_grown > 0


FIXED = FixedPoint(1.0, 1.0, gradient_bound=100, hessian_bound=25)
LAYOUT = SlotLayout(np.array([2, 1]), np.array([False, True]))
COUNTS = np.array([4, 6, 0, 7, 3])
ROOT = np.array([[[400, 100], [-600, 150], [0, 0], [700, 175], [-300, 75]]])
DRAWN = np.array([0, 1])


def checks(drawn: NDArray[np.int64] = DRAWN) -> SumChecks:
    checking = SumChecks(COUNTS, FIXED, ["spend", "country"])
    checking.draw(drawn, LAYOUT)
    return checking


def test_sums_at_their_bounds_are_accepted() -> None:
    checks().roots(0, ROOT)


@pytest.mark.parametrize(
    ("slot", "part", "value", "what"),
    [
        (0, 0, 401, "a gradient sum exceeds what its rows"),
        (1, 0, -601, "a gradient sum exceeds what its rows"),
        (2, 0, 1, "a gradient sum exceeds what its rows"),
        (3, 1, 176, "a hessian sum exceeds what its rows"),
        (4, 1, -1, "a hessian sum is negative"),
    ],
)
def test_one_unit_beyond_a_bound_is_refused(slot: int, part: int, value: int, what: str) -> None:
    wrong = ROOT.copy()
    wrong[0, slot, part] = value
    name = "spend" if slot < 3 else "country"
    with pytest.raises(FederationError, match=what) as caught:
        checks().roots(2, wrong)
    assert caught.value.looked == f"the root of tree 3, feature {name}"


def test_bounds_are_those_of_the_drawn_features() -> None:
    drawn = np.array([1])
    checks(drawn).roots(0, ROOT[:, 3:])
    with pytest.raises(FederationError, match="exceeds what its rows") as caught:
        checks(drawn).roots(0, ROOT[:, 3:] * 2)
    assert caught.value.looked == "the root of tree 1, feature country"


@pytest.mark.parametrize(
    ("slot", "pair", "what"),
    [(0, (0, 101), "exceeds its parent's"), (1, (0, -1), "negative"), (2, (1, 0), "gradient")],
)
def test_a_child_keeps_within_its_parent(slot: int, pair: tuple[int, int], what: str) -> None:
    checking = checks()
    checking.roots(0, ROOT)
    child = ROOT // 2
    pool, parents = np.concatenate((ROOT // 4, ROOT)), [1] * 5
    built = np.repeat(child, 5, axis=0)
    checking.children(0, built, pool, parents)
    built[4, slot] = pair
    for threads in (1, 2):
        with pytest.raises(FederationError, match=what):
            checking.children(0, built, pool, parents, team_of(threads))


def test_sums_travel_as_their_bounds_allow_and_shorter_in_small_nodes() -> None:
    assert checks().packing().packing.hessian_bits == (7 * 25).bit_length()
    assert checks().packing(largest_hessian=31).packing.hessian_bits == 5
    assert checks().packing().slots == 5


@pytest.mark.parametrize("rides", [(-1, 0), (0, -1), (0, 11)])
def test_what_rides_with_the_roots_is_checked(rides: tuple[int, int]) -> None:
    checks().rides(0, 5, 10, 10)
    with pytest.raises(FederationError, match="out of range"):
        checks().rides(0, *rides, 10)


class Flipping(InProcessTransport):
    """Flips one bit of the vector that site b sends in one round."""

    def __init__(self, sites: Any, place: tuple[int, int], bit: int) -> None:
        super().__init__(sites)
        self._place = place
        self._bit = bit

    def call(self, body: bytes, to: Any, timeout: float) -> Iterator[tuple[str, bytes]]:
        for site, sent in super().call(body, to, timeout):
            reply = m.decode_reply(sent)
            here = site == "s3" and reply.slot.position == self._place
            if here and isinstance(reply, m.VectorReply):
                words = reply.words.copy()
                words[4 + self._bit // 32] ^= np.uint32(1 << self._bit % 32)
                yield site, m.encode(reply.model_copy(update={"words": words}))
            else:
                yield site, sent


@pytest.mark.parametrize("place", [(m.PREPARATION, 1), (0, 0), (0, 1), (2, 1)])
@pytest.mark.parametrize("bit", [0, 17, 31, 40])
def test_a_flipped_bit_in_a_vector_is_noticed(place: tuple[int, int], bit: int) -> None:
    """Masks do not vouch for a vector; the features that count the same rows do."""
    transport = Flipping(programs(TABLES), place, bit)
    with pytest.raises((FederationError, DataError), match=NOTICED):
        train(transport, manifest(NAMES))
