"""All-or-nothing rounds, and everything a site refuses in them, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fed_audience.privacy.identity import SiteIdentity
from fed_audience.privacy.ledger import SiteLedger
from fed_audience.privacy.masks import RING_32, RING_64, Ring
from fed_audience.privacy.opening import MaskedSum
from fed_audience.privacy.refusals import SecureSumError
from fed_audience.privacy.roster import Roster, enrol
from fed_audience.privacy.rounds import Round
from fed_audience.privacy.site import SecureSite
from tests.privacy.consortium import RUN, Consortium, add_up, plain_sum

ROOT = Round(RUN, 0, 0)


def refused(reason: str, consortium: Consortium, asked: Round, **changes: Any) -> None:
    """Site s000 refuses to mask, for ``reason``."""
    values = changes.get("values", consortium.vectors()["s000"])
    cohort = changes.get("cohort", consortium.names)
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].mask(asked, cohort, values, changes.get("ring", RING_64))
    assert caught.value.reason == reason


@pytest.mark.parametrize("count", [3, 9, 10, 25])
@pytest.mark.parametrize(("ring", "bound"), [(RING_64, 2**62), (RING_32, 2**25)])
def test_masks_cancel_in_the_sum_over_the_cohort(count: int, ring: Ring, bound: int) -> None:
    consortium = Consortium(count).agreed()
    vectors = consortium.vectors(bound=bound)
    masked = consortium.masked(ROOT, vectors, ring=ring)
    total = add_up(masked, consortium.names, ring).total()
    assert np.array_equal(total, plain_sum(vectors, consortium.names))


def test_sums_wrap_as_plain_ones_do() -> None:
    consortium = Consortium(3).agreed()
    vectors = {name: np.array([2**63 - 1, -(2**63)]) for name in consortium.names}
    masked = consortium.masked(ROOT, vectors)
    with np.errstate(over="ignore"):
        assert np.array_equal(
            add_up(masked, consortium.names).total(), plain_sum(vectors, consortium.names)
        )


@pytest.mark.parametrize("without", ["s000", "s001", "s002"])
def test_without_one_sites_mask_the_sum_is_garbage(without: str) -> None:
    consortium = Consortium(3).agreed()
    vectors = consortium.vectors(2_000, bound=1_000)
    masked = consortium.masked(ROOT, vectors)
    masked[without] = RING_64.elements(vectors[without])
    total = add_up(masked, consortium.names).total()
    assert (np.abs(total) < 2**40).mean() < 0.01


def test_a_masked_vector_looks_uniform_whatever_it_holds() -> None:
    consortium = Consortium(3).agreed()
    vectors = dict.fromkeys(consortium.names, np.zeros(20_000, dtype=np.int64))
    masked = consortium.masked(ROOT, vectors)
    for vector in masked.values():
        bits = np.unpackbits(vector.view(np.uint8)).mean()
        assert abs(bits - 0.5) < 0.002
        assert len(np.unique(vector)) == len(vector)


def test_two_sites_of_three_together_do_not_open_the_third() -> None:
    """Their sum is the third's vector under the masks that it shares with them both."""
    consortium = Consortium(3).agreed()
    vectors = consortium.vectors(2_000, bound=1_000)
    masked = consortium.masked(ROOT, vectors)
    pair = add_up(masked, ("s000", "s001")).total()
    assert (np.abs(pair) < 2**40).mean() < 0.01


def test_masks_differ_between_rounds_attempts_and_runs() -> None:
    consortium = Consortium(3).agreed()
    zero = dict.fromkeys(consortium.names, np.zeros(4, dtype=np.int64))
    rounds = [ROOT, replace(ROOT, attempt=1), replace(ROOT, level=1), replace(ROOT, tree=1)]
    seen = {consortium.masked(asked, zero)["s000"].tobytes() for asked in rounds}
    assert len(seen) == 4


def test_the_same_round_gives_the_same_bytes_again() -> None:
    consortium = Consortium(3).agreed()
    vectors = consortium.vectors()
    once, again = (consortium.masked(ROOT, vectors)["s000"] for _ in range(2))
    assert np.array_equal(once, again)


def test_a_later_attempt_gives_the_same_sum_under_other_masks() -> None:
    consortium = Consortium(3).agreed()
    vectors = consortium.vectors()
    first = consortium.masked(ROOT, vectors)
    second = consortium.masked(replace(ROOT, attempt=1), vectors)
    assert not np.array_equal(first["s000"], second["s000"])
    assert np.array_equal(
        add_up(second, consortium.names).total(), plain_sum(vectors, consortium.names)
    )


def test_changed_vector() -> None:
    consortium = Consortium(3).agreed()
    consortium.masked(ROOT, consortium.vectors())
    other = consortium.vectors()["s000"] + 1
    for attempt in (0, 1):
        refused("changed_vector", consortium, replace(ROOT, attempt=attempt), values=other)


def test_the_same_vector_in_another_ring_is_a_changed_one() -> None:
    consortium = Consortium(3).agreed()
    vectors = consortium.vectors(bound=1_000)
    consortium.masked(ROOT, vectors)
    refused("changed_vector", consortium, ROOT, values=vectors["s000"], ring=RING_32)


def test_replayed_attempt() -> None:
    consortium = Consortium(3).agreed()
    consortium.masked(replace(ROOT, attempt=2), consortium.vectors())
    refused("replayed", consortium, replace(ROOT, attempt=1))


def test_reordered_round() -> None:
    consortium = Consortium(3).agreed()
    consortium.masked(Round(RUN, 2, 1), consortium.vectors())
    for earlier in (Round(RUN, 2, 0), Round(RUN, 1, 5), ROOT):
        refused("reordered", consortium, earlier)


def test_a_round_of_another_run_is_refused() -> None:
    refused("other_terms", Consortium(3).agreed(), Round("run 2", 0, 0))


def test_no_keys_before_the_cards_are_exchanged() -> None:
    consortium = Consortium(3)
    refused("no_keys", consortium, ROOT)
    consortium.present()
    refused("no_keys", consortium, ROOT)
    with pytest.raises(SecureSumError) as caught:
        Consortium(3).sites["s000"].agree({})
    assert caught.value.reason == "no_keys"


def test_cards_cannot_be_exchanged_twice_with_other_content() -> None:
    consortium = Consortium(3).agreed()
    site = consortium.sites["s000"]
    assert site.agree(consortium.cards) == site.agree(consortium.cards)
    fresh = consortium.start("s001").present(consortium.terms, consortium.roster)
    with pytest.raises(SecureSumError) as caught:
        site.agree({**consortium.cards, "s001": fresh})
    assert caught.value.reason == "replayed"


@pytest.mark.parametrize(
    "cohort",
    [("s001", "s002", "s003"), ("s000", "s001", "s002"), ("s000", "s000", "s001", "s002", "s003")],
)
def test_wrong_cohort_in_the_first_tree(cohort: tuple[str, ...]) -> None:
    """Left out itself, a subset of the run's sites, or a site named twice."""
    refused("wrong_cohort", Consortium(4).agreed(), ROOT, cohort=cohort)


def test_wrong_cohort_within_a_tree() -> None:
    consortium = Consortium(7).agreed()
    vectors = consortium.vectors()
    consortium.masked(Round(RUN, 1, 0), vectors)
    refused("wrong_cohort", consortium, Round(RUN, 1, 1), cohort=consortium.names[:4])
    refused("wrong_cohort", consortium, Round(RUN, 1, 0), cohort=consortium.names[:4])
    refused("wrong_cohort", consortium, Round(RUN, 1, 0, 1), cohort=consortium.names[:4])


@pytest.mark.parametrize("left", [3, 4, 6])
def test_nobody_leaves_between_trees_unsigned(left: int) -> None:
    consortium = Consortium(7).agreed()
    consortium.masked(Round(RUN, 1, 0), consortium.vectors())
    refused("wrong_cohort", consortium, Round(RUN, 2, 0), cohort=consortium.names[:left])


def test_small_changes_do_not_add_up_over_trees() -> None:
    """Each change is of three sites; the differences of all sums would show one."""
    consortium = Consortium(12).agreed()
    vectors = consortium.vectors()
    names = consortium.names
    masked = consortium.masked(Round(RUN, 1, 0), vectors)
    consortium.opened(Round(RUN, 1, 0), masked, names[3:])
    again = Round(RUN, 2, 0)
    consortium.masked(again, vectors)
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s008"].sign_survivors(again, (*names[1:3], *names[5:]))
    assert caught.value.reason == "small_change"
    consortium.sites["s008"].sign_survivors(again, (*names[:3], *names[6:]))


def test_a_fixed_cohort_never_changes() -> None:
    consortium = Consortium(12, changes={"fixed_cohort": True}).agreed()
    refused("wrong_cohort", consortium, Round(RUN, 3, 0), cohort=consortium.names[:9])
    masked = consortium.masked(Round(RUN, 3, 0), consortium.vectors())
    total = add_up(masked, consortium.names).total()
    assert np.array_equal(total, plain_sum(consortium.vectors(), consortium.names))


def test_bins_are_agreed_among_all_and_trees_among_those_with_labels() -> None:
    consortium = Consortium(6)
    labelled = consortium.names[:3]
    consortium.terms = consortium.make_terms(training_sites=labelled)
    consortium.agreed()
    vectors = consortium.vectors()
    everyone = consortium.masked(Round(RUN, -1, 1), vectors)
    some = consortium.masked(Round(RUN, -1, 2), vectors, labelled)
    tree = consortium.masked(ROOT, vectors, labelled)
    assert np.array_equal(
        add_up(everyone, consortium.names).total(), plain_sum(vectors, consortium.names)
    )
    for masked in (some, tree):
        assert np.array_equal(add_up(masked, labelled).total(), plain_sum(vectors, labelled))
    refused("wrong_cohort", consortium, Round(RUN, 0, 1))


def opening(consortium: Consortium, reason: str, **changes: Any) -> None:
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].present(consortium.make_terms(**changes), consortium.roster)
    assert caught.value.reason == reason


def test_two_sites_are_refused() -> None:
    opening(Consortium(2), "small_cohort")
    pair = ("s000", "s001")
    opening(Consortium(5), "small_cohort", sites=pair, training_sites=pair)


def test_two_sites_train_together_only_when_both_accept() -> None:
    opening(Consortium(2), "override", overrides=("two_sites",))
    consortium = Consortium(2, accepts=("two_sites",), changes={"overrides": ("two_sites",)})
    consortium.agreed()
    vectors = consortium.vectors()
    masked = consortium.masked(ROOT, vectors)
    assert np.array_equal(
        add_up(masked, consortium.names).total(), plain_sum(vectors, consortium.names)
    )


@pytest.mark.parametrize("labelled", [1, 2])
def test_one_or_two_sites_with_labels_need_an_override(labelled: int) -> None:
    opening(Consortium(8), "small_cohort", training_sites=Consortium(8).names[:labelled])


def test_one_or_two_sites_without_labels_would_show_through() -> None:
    """All sites' counts less those of the labelled are the counts of the others."""
    for others in (1, 2):
        opening(Consortium(8), "small_change", training_sites=Consortium(8).names[: 8 - others])


def test_sites_out_of_order_or_outside_the_run_are_refused() -> None:
    consortium = Consortium(4)
    names = consortium.names
    opening(consortium, "wrong_cohort", sites=names[::-1])
    opening(consortium, "wrong_cohort", training_sites=(*names[:3], names[2]))
    opening(consortium, "unknown_site", sites=names[1:], training_sites=names[1:])
    opening(consortium, "unknown_site", sites=(*names, "s999"))
    opening(consortium, "unknown_site", sites=names[:3], training_sites=names)


def test_roster_changed() -> None:
    """A roster that is approved by all its sites, but is not the one this site approved."""
    consortium = Consortium(3)
    sybils = enrol([consortium.identities["s000"], *map(SiteIdentity.generate, ["s001", "s002"])])
    for terms_of, shown in (
        (sybils, sybils),
        (consortium.roster, sybils),
        (sybils, consortium.roster),
    ):
        terms = consortium.make_terms(roster_sha256=terms_of.sha256)
        with pytest.raises(SecureSumError) as caught:
            consortium.sites["s000"].present(terms, shown)
        assert caught.value.reason == "roster_changed"


def test_an_unsigned_roster_is_refused() -> None:
    consortium = Consortium(3)
    with pytest.raises(SecureSumError) as caught:
        consortium.sites["s000"].present(consortium.terms, Roster(consortium.roster.keys))
    assert caught.value.reason == "unapproved_roster"


def test_a_site_does_not_start_with_a_roster_of_others() -> None:
    consortium = Consortium(3)
    for stranger in (SiteIdentity.generate("s999"), SiteIdentity.generate("s000")):
        with pytest.raises(SecureSumError) as caught:
            SecureSite(stranger, consortium.roster, SiteLedger())
        assert caught.value.reason == "unknown_site"


def test_a_run_id_used_again_under_other_terms_is_refused() -> None:
    consortium = Consortium(3).agreed()
    opening(consortium, "other_terms", manifest_sha256="cd" * 32)


def test_cohorts_of_two_runs_on_the_same_rows_may_not_differ_by_one_or_two() -> None:
    consortium = Consortium(8, build="build 1").agreed()
    for left in (6, 7):
        some = consortium.names[:left]
        opening(consortium, "earlier_cohort", run="run 2", sites=some, training_sites=some)
    five = consortium.names[:5]
    terms = consortium.make_terms(run="run 3", sites=five, training_sites=five)
    consortium.sites["s000"].present(terms, consortium.roster)
    terms = consortium.make_terms(run="run 4")
    consortium.sites["s000"].present(terms, consortium.roster)


def test_rows_of_another_build_may_be_summed_with_other_sites() -> None:
    first = Consortium(8, build="build 1").agreed()
    seven = first.names[:7]
    ledgers = first.ledgers
    second = Consortium(8, build="build 2", ledgers=ledgers)
    terms = second.make_terms(run="run 2", sites=seven, training_sites=seven)
    second.sites["s000"].present(terms, second.roster)


def test_noise_lets_cohorts_differ_by_one_before_and_after() -> None:
    """A noisy sum less another is as noisy, so no other run is held against it."""
    plain = Consortium(8, build="build 1").agreed()
    seven = plain.names[:7]
    fewer = {"run": "run 2", "sites": seven, "training_sites": seven}
    opening(plain, "earlier_cohort", **fewer)
    plain.sites["s000"].present(plain.make_terms(noisy=True, **fewer), plain.roster)
    assert plain.ledgers["s000"].cohorts("build 1") == (plain.names,)
    noisy = Consortium(8, build="build 1", changes={"noisy": True}).agreed()
    noisy.sites["s000"].present(noisy.make_terms(**fewer), noisy.roster)


def test_a_recorded_override_lets_a_cohort_differ_by_one() -> None:
    accepts = ("small_change",)
    consortium = Consortium(8, build="build 1", accepts=accepts).agreed()
    seven = consortium.names[:7]
    opening(consortium, "earlier_cohort", run="run 2", sites=seven, training_sites=seven)
    terms = consortium.make_terms(run="run 3", sites=seven, training_sites=seven, overrides=accepts)
    consortium.sites["s000"].present(terms, consortium.roster)


def test_an_oversized_or_truncated_vector_is_refused() -> None:
    total = MaskedSum(10, RING_64)
    for vector in (np.zeros(9, np.uint64), np.zeros(11, np.uint64), np.zeros(10, np.uint32)):
        with pytest.raises(SecureSumError) as caught:
            total.add(vector)
        assert caught.value.reason == "out_of_range"


def test_a_flipped_bit_spoils_one_cell_of_the_sum_and_no_other() -> None:
    """Masks hide, they do not vouch: a flipped bit is found by the checksum of the message."""
    consortium = Consortium(3).agreed()
    vectors = consortium.vectors()
    masked = consortium.masked(ROOT, vectors)
    masked["s001"][7] ^= np.uint64(1 << 40)
    wrong = add_up(masked, consortium.names).total() != plain_sum(vectors, consortium.names)
    assert np.flatnonzero(wrong).tolist() == [7]
