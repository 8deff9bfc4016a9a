"""The steps of an overlap, as each brand takes them: ask, answer, count, learn."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from fed_audience.privacy.overlap import group
from fed_audience.privacy.overlap.noise import (
    Released,
    clipped_laplace,
    discrete_laplace,
    reach,
    release,
)
from fed_audience.privacy.overlap.points import Points, Workers, as_words, ordered, require_ordered
from fed_audience.privacy.overlap.refusals import OverlapError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fed_audience.privacy.overlap.terms import Policy, Terms

MOST_PEOPLE: Final = 16_000_000
"""On one list: an answer holds two of them, padded, in at most 1 GiB."""

_DIGITS: Final = 2


@dataclass(frozen=True, slots=True)
class Question:
    """From the asking brand: its customers under its secret, and the secret's public key."""

    public: bytes
    points: Points


@dataclass(frozen=True, slots=True)
class Answer:
    """From the answering brand: the question's points under both secrets, its own under its own.

    Both hold decoys.
    """

    raised: Points
    points: Points


@dataclass(frozen=True, slots=True)
class Asked:
    """What the asking brand keeps until it is answered. ``noise``: of what it tells in return."""

    scalar: bytes = field(repr=False)
    listed: int
    sent: int
    noise: int

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON knows it, the secret included."""
        return {**asdict(self), "scalar": self.scalar.hex()}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read ``to_document`` back; raises KeyError, TypeError or ValueError for another form."""
        return cls(**{**document, "scalar": bytes.fromhex(document["scalar"])})


@dataclass(frozen=True, slots=True)
class Answered:
    """What the answering brand keeps. ``noise``: it is in the count that the partner reads."""

    listed: int
    noise: int

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """Read ``to_document`` back; raises TypeError for another form."""
        return cls(**document)


@dataclass(frozen=True, slots=True)
class Result:
    """What the asking brand may show, the noisy count for its partner, the partner's list."""

    released: Released
    for_partner: int
    partner_list: int


def padded(listed: int) -> int:
    """Return ``listed`` rounded up to two digits, the number of points sent for a list."""
    unit = int(10 ** max(0, len(str(listed)) - _DIGITS))
    return -(-listed // unit) * unit


def ask(
    terms: Terms, identifiers: Iterable[str], salt: bytes, workers: Workers
) -> tuple[Asked, Question]:
    """Begin a query with the normalised ``identifiers`` of people who consent to its purpose.

    ``salt``: the secret of the two brands. Raises OverlapError (short_list, long_list).
    """
    texts = _listed(terms.policy, identifiers)
    scalar = group.new_scalar()
    points = _padded(workers.hidden(texts, terms.salt(salt), scalar))
    noise = discrete_laplace(terms.policy.exact_epsilon)
    asked = Asked(scalar, listed=len(texts), sent=len(points), noise=noise)
    return asked, Question(group.public_of(scalar), points)


def answer(
    terms: Terms, question: Question, identifiers: Iterable[str], salt: bytes, workers: Workers
) -> tuple[Answered, Answer]:
    """Answer ``question`` with this brand's own ``identifiers``; its secret is forgotten after.

    Raises OverlapError: short_list, also for the partner's; long_list; out_of_order; bad_point.
    """
    policy = terms.policy
    _require_points(policy, question.points)
    texts = _listed(policy, identifiers)
    bound, noise = reach(policy.exact_epsilon), clipped_laplace(policy.exact_epsilon)
    pairs = _decoys(question.public, matching=bound + noise, count=2 * bound)
    scalar = group.new_scalar()
    raised = workers.raised(question.points, scalar)
    own = _padded(workers.hidden(texts, terms.salt(salt), scalar))
    reply = Answer(ordered(raised, pairs[0]), ordered(own, pairs[1]))
    return Answered(listed=len(texts), noise=noise), reply


def result(terms: Terms, asked: Asked, reply: Answer, workers: Workers) -> Result:
    """Count what the two lists have in common, noise included, and release it by the terms.

    Raises OverlapError: short_list for the partner's, wrong_size, out_of_order, bad_point.
    """
    policy = terms.policy
    bound = reach(policy.exact_epsilon)
    if len(reply.raised) != asked.sent + 2 * bound:
        detail = f"{len(reply.raised):,} points of ours came back"
        raise OverlapError("wrong_size", detail=detail, limit=f"{asked.sent + 2 * bound:,}")
    require_ordered(reply.raised)
    _require_points(policy, reply.points, decoys=2 * bound)
    both = workers.raised(reply.points, asked.scalar)
    met = np.intersect1d(as_words(both), as_words(reply.raised), assume_unique=True).size
    noisy = int(met) - bound
    partner_list = len(reply.points) - 2 * bound
    return Result(
        released=release(noisy, policy, min(asked.listed, partner_list)),
        for_partner=noisy + asked.noise,
        partner_list=partner_list,
    )


def learned(terms: Terms, answered: Answered, for_partner: int) -> Released:
    """Return what the answering brand may show of the count that the asking one told it."""
    return release(for_partner - answered.noise, terms.policy, answered.listed)


def _listed(policy: Policy, identifiers: Iterable[str]) -> Sequence[str]:
    texts = sorted(set(identifiers))
    if len(texts) < policy.minimum_list:
        detail = f"fewer than {policy.minimum_list:,} people consent and have an identifier"
        raise OverlapError("short_list", detail=detail, limit=f"{policy.minimum_list:,} or more")
    if len(texts) > MOST_PEOPLE:
        raise OverlapError("long_list", detail=f"{len(texts):,} people", limit=f"{MOST_PEOPLE:,}")
    return texts


def _require_points(policy: Policy, points: Points, decoys: int = 0) -> None:
    if points.shape[1:] != (group.POINT_BYTES,):
        raise OverlapError("bad_point", detail=f"points of {points.shape[1:]} bytes")
    if len(points) - decoys < policy.minimum_list:
        detail = f"the partner's list has {max(0, len(points) - decoys):,} points"
        raise OverlapError("short_list", detail=detail, limit=f"{policy.minimum_list:,} or more")
    require_ordered(points)


def _padded(points: Points) -> Points:
    filling = padded(len(points)) - len(points)
    return ordered(points, _as_points([group.random_point() for _ in range(filling)]))


def _decoys(public: bytes, *, matching: int, count: int) -> tuple[Points, Points]:
    """Return points for both lists of an answer: ``matching`` pairs of them meet, others do not.

    A pair is r times the partner's public key and r times the base point: it meets under the
    partner's secret. Nobody can tell the pairs from customers, nor from the points that fill up.
    """
    raised, own = [], []
    for number in range(count):
        if number < matching:
            scalar = group.new_scalar()
            point = group.times(scalar, public)
            if point is None:
                raise OverlapError("bad_point", detail="the partner's public key")
            raised.append(point)
            own.append(group.public_of(scalar))
        else:
            raised.append(group.random_point())
            own.append(group.random_point())
    return _as_points(raised), _as_points(own)


def _as_points(points: Sequence[bytes]) -> Points:
    return np.frombuffer(b"".join(points), np.uint8).reshape(-1, group.POINT_BYTES)
