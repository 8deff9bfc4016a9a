"""Roots of ten sites and more: survivors, reveals, shares, and a coordinator that lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fed_audience.privacy.masks import RING_32, RING_64, Ring, masked
from fed_audience.privacy.opening import recover_seed
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.rounds import Round, quorum
from tests.privacy.consortium import RUN, Consortium, add_up, plain_sum

ROOT = Round(RUN, 1, 0)


def signing(consortium: Consortium, survivors: tuple[str, ...], reason: str) -> None:
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].sign_survivors(ROOT, survivors)
    assert caught.value.reason == reason


@pytest.mark.parametrize(("count", "dropped"), [(10, 0), (10, 3), (13, 4), (25, 8), (30, 3)])
@pytest.mark.parametrize("ring", [RING_64, RING_32])
def test_the_sum_over_the_survivors_is_exact(count: int, dropped: int, ring: Ring) -> None:
    consortium = Consortium(count).agreed()
    vectors = consortium.vectors(bound=2**24)
    gone = consortium.names[1 : 1 + dropped]
    survivors = tuple(name for name in consortium.names if name not in gone)
    masked = consortium.masked(ROOT, vectors, ring=ring)
    total = consortium.opened(ROOT, masked, survivors, ring=ring)
    assert np.array_equal(total, plain_sum(vectors, survivors))


def test_the_sum_without_the_reveals_is_garbage() -> None:
    consortium = Consortium(10).agreed()
    masked = consortium.masked(ROOT, consortium.vectors(2_000, bound=1_000))
    total = add_up(masked, consortium.names).total()
    assert (np.abs(total) < 2**40).mean() < 0.01


def test_a_late_vector_of_a_dropped_site_stays_hidden() -> None:
    """All pair keys of the dropped are known; its own mask is not."""
    consortium = Consortium(10).agreed()
    vectors = consortium.vectors(2_000, bound=1_000)
    sent = consortium.masked(ROOT, vectors)
    survivors = consortium.names[3:]
    consents = consortium.consents(ROOT, survivors)
    late = masked(sent["s000"], [], [consents[n].pair_keys["s000"] for n in survivors])
    assert (np.abs(RING_64.integers(late)) < 2**40).mean() < 0.01


def test_a_consent_holds_keys_of_the_dropped_alone_and_is_repeated_unchanged() -> None:
    consortium = Consortium(10).agreed()
    consortium.masked(ROOT, consortium.vectors())
    survivors = consortium.names[3:]
    consents = consortium.consents(ROOT, survivors)
    assert {frozenset(one.pair_keys) for one in consents.values()} == {
        frozenset(consortium.names[:3])
    }
    assert consortium.consents(ROOT, survivors) == consents


@pytest.mark.parametrize("ring", [RING_64, RING_32])
def test_shares_stand_in_for_survivors_who_vanish_before_revealing(ring: Ring) -> None:
    consortium = Consortium(13).agreed()
    consortium.leave_shares(1)
    vectors = consortium.vectors(bound=2**24)
    masked = consortium.masked(ROOT, vectors, ring=ring)
    survivors = consortium.names[:10]
    total = consortium.opened(ROOT, masked, survivors, vanished=("s002",), ring=ring)
    assert np.array_equal(total, plain_sum(vectors, survivors))


def test_shares_cover_sixteen_trees_and_four_attempts() -> None:
    consortium = Consortium(12).agreed()
    consortium.leave_shares(1)
    vectors = consortium.vectors()
    for asked in (ROOT, Round(RUN, 16, 0, 3)):
        masked = consortium.masked(asked, vectors)
        total = consortium.opened(asked, masked, consortium.names, vanished=("s003", "s007"))
        assert np.array_equal(total, plain_sum(vectors, consortium.names))
    outside = Round(RUN, 17, 0)
    consortium.masked(outside, vectors)
    signed = consortium.signatures(outside, consortium.names)
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].release(outside, signed, ["s003"])
    assert caught.value.reason == "bad_shares"


def test_shares_are_sealed_for_their_holder() -> None:
    consortium = Consortium(10).agreed()
    envelopes = consortium.sites["s000"].share_out(1, consortium.names)
    for sender, first, envelope in (
        ("s000", 1, envelopes["s002"]),
        ("s002", 1, envelopes["s001"]),
        ("s000", 17, envelopes["s001"]),
        ("s000", 1, envelopes["s001"][:-1]),
        ("s000", 1, b""),
        ("s999", 1, envelopes["s001"]),
    ):
        consortium.sites["s001"].share_out(1, consortium.names)
        with pytest.raises(SecureSumError) as caught:
            consortium.sites["s001"].hold(sender, first, envelope)
        assert caught.value.reason == "bad_shares"


def test_a_share_is_released_for_signed_survivors_only() -> None:
    """Its pair keys have been revealed: with its own seed too, its vector would lie open."""
    consortium = Consortium(13).agreed()
    consortium.leave_shares(1)
    consortium.masked(ROOT, consortium.vectors())
    survivors = consortium.names[:10]
    signed = consortium.signatures(ROOT, survivors)
    for missing in (["s012"], ["s000"], ["s001", "s012"]):
        with pytest.raises(SecureSumError) as caught:
            consortium.sites["s000"].release(ROOT, signed, missing)
        assert caught.value.reason == "bad_shares"


def test_too_few_holders_cannot_recover_a_seed() -> None:
    consortium = Consortium(10).agreed()
    consortium.leave_shares(1)
    consortium.masked(ROOT, consortium.vectors())
    signed = consortium.signatures(ROOT, consortium.names)
    shares = {n: consortium.sites[n].release(ROOT, signed, ["s009"]) for n in consortium.names[:6]}
    with pytest.raises(SecureSumError) as caught:
        recover_seed(consortium.names, {n: one["s009"] for n, one in shares.items()})
    assert caught.value.reason == "bad_shares"


def test_shares_are_for_sites_of_the_run() -> None:
    consortium = Consortium(10).agreed()
    for cohort in (consortium.names[1:], (*consortium.names, "s999")):
        with pytest.raises(SecureSumError) as caught:
            consortium.sites["s000"].share_out(1, cohort)
        assert caught.value.reason == "wrong_cohort"
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].hold("s001", 1, b"")
    assert caught.value.reason == "bad_shares"


def test_no_quorum() -> None:
    consortium = Consortium(12).agreed()
    consortium.masked(ROOT, consortium.vectors())
    assert quorum(12) == 9
    signing(consortium, consortium.names[:8], "no_quorum")
    consortium.sites["s000"].sign_survivors(ROOT, consortium.names[:9])


@pytest.mark.parametrize("dropped", [1, 2])
def test_small_change_among_survivors(dropped: int) -> None:
    consortium = Consortium(12).agreed()
    consortium.masked(ROOT, consortium.vectors())
    signing(consortium, consortium.names[:-dropped], "small_change")


def test_survivors_outside_the_cohort_or_out_of_order() -> None:
    consortium = Consortium(10).agreed()
    consortium.masked(ROOT, consortium.vectors())
    names = consortium.names
    for survivors in ((*names, "s999"), names[::-1], (*names, names[-1])):
        signing(consortium, survivors, "wrong_cohort")


def test_not_a_survivor() -> None:
    consortium = Consortium(10).agreed()
    consortium.masked(ROOT, consortium.vectors())
    signing(consortium, consortium.names[3:], "not_a_survivor")


def test_two_survivor_sets() -> None:
    """Of two sets, each large enough, a site signs the first, whatever the attempt."""
    consortium = Consortium(13).agreed()
    vectors = consortium.vectors()
    consortium.masked(ROOT, vectors)
    names = consortium.names
    consortium.sites["s000"].sign_survivors(ROOT, names[:10])
    consortium.sites["s000"].sign_survivors(ROOT, names[:10])
    signing(consortium, names[:9], "two_survivor_sets")
    signing(consortium, names, "two_survivor_sets")
    again = replace(ROOT, attempt=1)
    for cohort in (names, names[:9], (*names[:9], names[11])):
        with pytest.raises(SecureSumError) as caught:
            consortium.sites["s000"].mask(again, cohort, vectors["s000"])
        assert caught.value.reason == "two_survivor_sets"
    consortium.sites["s000"].mask(again, names[:10], vectors["s000"])


def test_a_lying_coordinator_cannot_collect_signatures_for_two_sets() -> None:
    """It shows a victim one set and the others another: no set is signed by all it names."""
    consortium = Consortium(12).agreed()
    consortium.masked(ROOT, consortium.vectors())
    names = consortium.names
    private = names[:9]
    public = tuple(name for name in names if name not in names[:3])
    one = {n: consortium.sites[n].sign_survivors(ROOT, private).signature for n in names[:3]}
    other = {n: consortium.sites[n].sign_survivors(ROOT, public).signature for n in names[3:]}
    for name in names[3:9]:
        with pytest.raises(SecureSumError) as caught:
            consortium.sites[name].sign_survivors(ROOT, private)
        assert caught.value.reason == "two_survivor_sets"
    stolen = {name: (one | other)[name] for name in private}
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].reveal(ROOT, stolen)
    assert caught.value.reason == "bad_signature"
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].reveal(ROOT, one)
    assert caught.value.reason == "unsigned_set"


def test_unsigned_set() -> None:
    consortium = Consortium(10).agreed()
    consortium.masked(ROOT, consortium.vectors())
    names = consortium.names
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].reveal(ROOT, {})
    assert caught.value.reason == "unsigned_set"
    signed = consortium.signatures(ROOT, names)
    for wrong in ({n: signed[n] for n in names[:9]}, {**signed, "s999": signed["s000"]}):
        with pytest.raises(SecureSumError) as caught:
            consortium.sites["s000"].reveal(ROOT, wrong)
        assert caught.value.reason == "unsigned_set"
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].reveal(ROOT, {**signed, "s001": signed["s002"]})
    assert caught.value.reason == "bad_signature"


def test_a_signature_is_for_one_attempt() -> None:
    consortium = Consortium(10).agreed()
    vectors = consortium.vectors()
    consortium.masked(ROOT, vectors)
    signed = consortium.signatures(ROOT, consortium.names)
    again = replace(ROOT, attempt=1)
    masked = consortium.masked(again, vectors)
    site = consortium.sites["s000"]
    for asked, reason in ((ROOT, "replayed"), (again, "bad_signature")):
        with pytest.raises(SecureSumError) as caught:
            site.reveal(asked, signed)
        assert caught.value.reason == reason
    total = consortium.opened(again, masked, consortium.names)
    assert np.array_equal(total, plain_sum(vectors, consortium.names))


def test_a_retry_among_the_signed_survivors_opens_the_same_sum() -> None:
    consortium = Consortium(10).agreed()
    vectors = consortium.vectors()
    masked = consortium.masked(ROOT, vectors)
    survivors = consortium.names[:7]
    once = consortium.opened(ROOT, masked, survivors)
    again = consortium.masked(replace(ROOT, attempt=1), vectors, survivors)
    assert np.array_equal(add_up(again, survivors).total(), once)


def test_no_dropouts_below_ten_sites_nor_below_the_root_nor_in_the_first_tree() -> None:
    for count, asked in ((9, ROOT), (12, Round(RUN, 1, 1)), (12, Round(RUN, 0, 0))):
        consortium = Consortium(count).agreed()
        consortium.masked(asked, consortium.vectors())
        with pytest.raises(SecureSumError) as caught:
            consortium.sites["s000"].sign_survivors(asked, consortium.names[:-3])
        assert caught.value.reason == "no_dropouts"


def test_no_dropouts_from_a_fixed_cohort() -> None:
    consortium = Consortium(12, changes={"fixed_cohort": True}).agreed()
    consortium.masked(ROOT, consortium.vectors())
    signing(consortium, consortium.names[:9], "no_dropouts")


def test_deeper_rounds_keep_to_the_survivors() -> None:
    consortium = Consortium(10).agreed()
    vectors = consortium.vectors()
    masked = consortium.masked(ROOT, vectors)
    survivors = consortium.names[:7]
    consortium.opened(ROOT, masked, survivors)
    deeper = Round(RUN, 1, 1)
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].mask(deeper, consortium.names, vectors["s000"])
    assert caught.value.reason == "wrong_cohort"
    masked = consortium.masked(deeper, vectors, survivors)
    assert np.array_equal(add_up(masked, survivors).total(), plain_sum(vectors, survivors))


def test_those_who_left_may_come_back_together_and_not_alone() -> None:
    consortium = Consortium(10).agreed()
    vectors = consortium.vectors()
    masked = consortium.masked(ROOT, vectors)
    consortium.opened(ROOT, masked, consortium.names[:7])
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].mask(Round(RUN, 2, 0), consortium.names[:8], vectors["s000"])
    assert caught.value.reason == "small_change"
    back = Round(RUN, 3, 0)
    masked = consortium.masked(back, vectors)
    total = consortium.opened(back, masked, consortium.names)
    assert np.array_equal(total, plain_sum(vectors, consortium.names))


def test_who_was_left_of_a_run_counts_for_later_runs_on_the_same_rows() -> None:
    consortium = Consortium(13, build="build 1").agreed()
    masked = consortium.masked(ROOT, consortium.vectors())
    consortium.opened(ROOT, masked, consortium.names[3:])
    later = consortium.names[4:]
    terms = consortium.make_terms(run="run 2", sites=later, training_sites=later)
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s009"].present(terms, consortium.roster)
    assert caught.value.reason == "earlier_cohort"
    same = consortium.names[3:]
    terms = consortium.make_terms(run="run 2", sites=same, training_sites=same)
    consortium.sites["s009"].present(terms, consortium.roster)


@pytest.mark.parametrize("friends", [("s001", "s002"), ("s001", "s002", "s003", "s004")])
def test_a_tree_does_not_begin_with_fewer_sites_than_the_last_ended_with(
    friends: tuple[str, ...],
) -> None:
    """Unsigned, a coordinator would name its friends and a victim; it may name more, not fewer."""
    consortium = Consortium(12).agreed()
    vectors = consortium.vectors()
    masked = consortium.masked(ROOT, vectors)
    consortium.opened(ROOT, masked, consortium.names[:9])
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].mask(Round(RUN, 2, 0), ("s000", *friends), vectors["s000"])
    assert caught.value.reason == "wrong_cohort"
    for cohort in (consortium.names[:9], consortium.names):
        consortium.sites["s000"].mask(Round(RUN, 3 + len(cohort), 0), cohort, vectors["s000"])


def test_a_round_is_signed_and_revealed_only_while_it_is_the_last() -> None:
    consortium = Consortium(10).agreed()
    vectors = consortium.vectors()
    consortium.masked(ROOT, vectors)
    signed = consortium.signatures(ROOT, consortium.names)
    consortium.masked(Round(RUN, 1, 1), vectors)
    site = consortium.sites["s000"]
    for late in (
        lambda: site.sign_survivors(ROOT, consortium.names),
        lambda: site.reveal(ROOT, signed),
        lambda: site.release(ROOT, signed, ["s001"]),
    ):
        with pytest.raises(SecureSumError) as caught:
            late()
        assert caught.value.reason == "replayed"


def test_opening_needs_every_survivors_reveal() -> None:
    consortium = Consortium(10).agreed()
    masked = consortium.masked(ROOT, consortium.vectors())
    survivors = consortium.names[:7]
    consents = consortium.consents(ROOT, survivors)
    signed = {name: one.signature for name, one in consents.items()}
    seeds = {name: consortium.sites[name].reveal(ROOT, signed) for name in survivors}
    pairs = {name: dict(one.pair_keys) for name, one in consents.items()}
    total = add_up(masked, survivors)
    for missing in ("seed", "pair"):
        fewer_seeds = {n: s for n, s in seeds.items() if missing == "pair" or n != "s000"}
        fewer_pairs = {**pairs, "s000": {}} if missing == "pair" else pairs
        with pytest.raises(SecureSumError, match="s000") as caught:
            total.opened(consortium.names, survivors, fewer_seeds, fewer_pairs)
        assert caught.value.reason == "missing_key"
