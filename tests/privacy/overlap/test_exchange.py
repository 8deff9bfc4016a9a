"""Two brands count what their lists have in common: exact under the noise, and refused by name."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fed_audience.privacy.overlap import exchange, group, terms
from fed_audience.privacy.overlap.exchange import (
    Answer,
    Asked,
    Question,
    Result,
    answer,
    ask,
    learned,
    padded,
    result,
)
from fed_audience.privacy.overlap.noise import reach
from fed_audience.privacy.overlap.points import Points, Workers, as_words, ordered
from fed_audience.privacy.overlap.refusals import OverlapError
from fed_audience.privacy.overlap.terms import Policy, Terms

SALT = b"a salt that two brands share"
ONE = Workers(1)


def people(first: int, last: int) -> list[str]:
    return [f"person{number}@example.org" for number in range(first, last)]


def agreed(**changes: float) -> Terms:
    return Terms("three", "fashion", "grocery", Policy("share_partner", epsilon=1.0, **changes))  # type: ignore[arg-type]


TERMS = agreed()
FASHION, GROCERY = people(0, 1_000), people(400, 1_500)


@pytest.fixture(scope="module")
def asked() -> tuple[Asked, Question]:
    return ask(TERMS, FASHION, SALT, ONE)


@pytest.fixture(scope="module")
def reply(asked: tuple[Asked, Question]) -> Answer:
    return answer(TERMS, asked[1], GROCERY, SALT, ONE)[1]


def refused(reason: str, work: object, *arguments: object) -> OverlapError:
    with pytest.raises(OverlapError) as caught:
        work(*arguments)  # type: ignore[operator]
    assert caught.value.reason == reason
    return caught.value


@settings(max_examples=25, deadline=None)
@given(
    st.sets(st.integers(0, 60), min_size=1),
    st.sets(st.integers(0, 60), min_size=1),
)
def test_beneath_the_noise_the_count_is_that_of_the_sets(left: set[int], right: set[int]) -> None:
    with patch.object(terms, "LEAST_LIST", 1):
        small = agreed(minimum_list=1)
        own, question = ask(small, (str(one) for one in left), SALT, ONE)
        theirs, reply = answer(small, question, (str(one) for one in right), SALT, ONE)
        found = result(small, own, reply, ONE)
    assert found.for_partner - own.noise - theirs.noise == len(left & right)


def test_both_brands_are_told_a_count_near_the_exact_one(asked: tuple[Asked, Question]) -> None:
    own, question = asked
    theirs, reply = answer(TERMS, question, GROCERY, SALT, ONE)
    found = result(TERMS, own, reply, ONE)
    assert found.released.count is not None
    assert abs(found.released.count - 600) <= reach(TERMS.policy.exact_epsilon) + 5
    assert found.released.count % 10 == 0
    assert found.partner_list == padded(1_100) == 1_100
    told = learned(TERMS, theirs, found.for_partner)
    assert told.count is not None
    assert abs(told.count - 600 - own.noise) <= 5


def test_what_one_brand_reads_holds_the_noise_of_the_other(asked: tuple[Asked, Question]) -> None:
    own, question = asked
    seen = set()
    for _ in range(12):
        theirs, reply = answer(TERMS, question, GROCERY, SALT, ONE)
        exact = result(TERMS, own, reply, ONE).for_partner - own.noise
        assert exact == 600 + theirs.noise
        seen.add(theirs.noise)
    assert len(seen) > 2


def test_a_small_overlap_is_not_told() -> None:
    own, question = ask(TERMS, people(0, 1_000), SALT, ONE)
    theirs, reply = answer(TERMS, question, people(990, 2_000), SALT, ONE)
    found = result(TERMS, own, reply, ONE)
    assert found.released.count is None
    assert learned(TERMS, theirs, found.for_partner).count is None


def test_equal_identifiers_count_once() -> None:
    own, _ = ask(TERMS, FASHION + FASHION, SALT, ONE)
    assert own.listed == 1_000


@pytest.mark.parametrize("count", [0, 10, 999])
def test_a_short_list_is_refused_on_either_side(
    count: int, asked: tuple[Asked, Question], reply: Answer
) -> None:
    few = people(0, count)
    refused("short_list", ask, TERMS, few, SALT, ONE)
    refused("short_list", answer, TERMS, asked[1], few, SALT, ONE)
    question = replace(asked[1], points=asked[1].points[:count])
    refused("short_list", answer, TERMS, question, GROCERY, SALT, ONE)
    decoys = 2 * reach(TERMS.policy.exact_epsilon)
    shortened = replace(reply, points=reply.points[: count + decoys])
    refused("short_list", result, TERMS, asked[0], shortened, ONE)


def test_a_list_that_fits_no_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 2**30 // group.POINT_BYTES
    assert (
        2 * padded(exchange.MOST_PEOPLE) + 4 * reach(Policy("x", epsilon=0.01).exact_epsilon) < most
    )
    monkeypatch.setattr(exchange, "MOST_PEOPLE", 1_000)
    refused("long_list", ask, TERMS, people(0, 1_001), SALT, ONE)


def broken(points: Points, row: int, value: bytes) -> Points:
    """Return ``points`` with one replaced, in their order again."""
    changed = points.copy()
    changed[row] = np.frombuffer(value, np.uint8)
    return ordered(changed)


# The identity; an encoding above the field's order; a value that encodes no element.
NO_POINTS = [bytes(32), b"\xff" * 32, (2).to_bytes(32, "little")[::-1]]


@pytest.mark.parametrize("value", NO_POINTS, ids=["identity", "too large", "no element"])
def test_what_is_no_point_is_refused_on_either_side(
    value: bytes, asked: tuple[Asked, Question], reply: Answer
) -> None:
    question = replace(asked[1], points=broken(asked[1].points, 700, value))
    refused("bad_point", answer, TERMS, question, GROCERY, SALT, ONE)
    forged = replace(reply, points=broken(reply.points, 700, value))
    refused("bad_point", result, TERMS, asked[0], forged, ONE)


def test_a_public_key_that_is_no_point_is_refused(asked: tuple[Asked, Question]) -> None:
    question = replace(asked[1], public=bytes(32))
    refused("bad_point", answer, TERMS, question, GROCERY, SALT, ONE)


def test_one_customer_under_a_thousand_copies_is_refused(
    asked: tuple[Asked, Question], reply: Answer
) -> None:
    one = np.repeat(asked[1].points[:1], 1_000, axis=0)
    refused("out_of_order", answer, TERMS, replace(asked[1], points=one), GROCERY, SALT, ONE)
    backwards = replace(asked[1], points=asked[1].points[::-1])
    refused("out_of_order", answer, TERMS, backwards, GROCERY, SALT, ONE)
    repeated = reply.raised.copy()
    repeated[5] = repeated[4]
    refused("out_of_order", result, TERMS, asked[0], replace(reply, raised=repeated), ONE)
    refused("out_of_order", result, TERMS, asked[0], replace(reply, points=reply.points[::-1]), ONE)


@pytest.mark.parametrize("change", [-1, 1])
def test_an_answer_that_lost_or_gained_points_is_refused(
    change: int, asked: tuple[Asked, Question], reply: Answer
) -> None:
    wrong = reply.raised[:-1] if change < 0 else np.vstack([reply.raised, reply.raised[-1:]])
    refused("wrong_size", result, TERMS, asked[0], replace(reply, raised=wrong), ONE)


def test_points_of_another_width_are_refused(asked: tuple[Asked, Question]) -> None:
    narrow = asked[1].points[:, :31].copy()
    refused("bad_point", answer, TERMS, replace(asked[1], points=narrow), GROCERY, SALT, ONE)


def test_under_another_salt_or_query_nobody_meets(asked: tuple[Asked, Question]) -> None:
    own, question = asked
    for terms_of_answer, salt in ((TERMS, b"another salt altogether"), (agreed(), SALT)):
        theirs, reply = answer(terms_of_answer, question, FASHION, salt, ONE)
        found: Result = result(TERMS, own, reply, ONE)
        assert found.for_partner - own.noise - theirs.noise == 0


def test_order_and_padding_say_nothing_of_the_list(asked: tuple[Asked, Question]) -> None:
    own, question = ask(TERMS, people(0, 1_234), SALT, ONE)
    assert own.listed == 1_234
    assert own.sent == len(question.points) == 1_300
    words = as_words(question.points)
    assert np.array_equal(words, np.sort(words))
    again = ask(TERMS, FASHION, SALT, ONE)[1]
    assert not set(as_words(again.points)) & set(as_words(asked[1].points))


@pytest.mark.parametrize(
    ("listed", "sent"),
    [(1, 1), (99, 99), (100, 100), (101, 110), (1_234, 1_300), (99_001, 100_000)],
)
def test_a_list_is_sent_as_if_of_two_digits(listed: int, sent: int) -> None:
    assert padded(listed) == sent


def test_an_answer_cannot_be_read_without_the_asking_brands_secret(
    asked: tuple[Asked, Question], reply: Answer
) -> None:
    stranger = replace(asked[0], scalar=group.new_scalar())
    noisy = result(TERMS, stranger, reply, ONE).for_partner - stranger.noise
    assert noisy == -reach(TERMS.policy.exact_epsilon), "not even the decoys meet"
